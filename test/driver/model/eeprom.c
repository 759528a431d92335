/*
 * eeprom.c - the EEPROM and the SFP+ module
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

/* ---- SFP+ module: an I2C slave at 0xA0 behind I2CCTL -------------------- */
void ix_i2c(IX *s, uint32_t v)
{
    int scl = !!(v & 2), sda = !!(v & 8);
    if (s->i2c.scl && scl && s->i2c.sda != sda) {            /* start/stop */
        s->i2c.st = sda ? 0 : 1;
        s->i2c.bit = 0; s->i2c.sh = 0; s->i2c.sdo = 1; s->i2c.rd = 0;
    } else if (!s->i2c.scl && scl && s->i2c.st && s->i2c.bit <= 8 && !s->i2c.rd) {
        s->i2c.sh = s->i2c.sh << 1 | sda;                    /* sample */
    } else if (s->i2c.scl && !scl && s->i2c.st) {            /* falling edge */
        s->i2c.bit++;
        if (s->i2c.rd) {
            if (s->i2c.bit <= 7) {
                s->i2c.sdo = (s->i2c.dout >> (7 - s->i2c.bit)) & 1;
            } else {
                s->i2c.sdo = 1;
                if (s->i2c.bit == 9) {
                    s->i2c.dout = s->sfp_rom[++s->i2c.ptr];
                    s->i2c.bit = 0;
                    s->i2c.sdo = s->i2c.dout >> 7;
                }
            }
        } else if (s->i2c.bit == 9) {                        /* ack goes out */
            s->i2c.sdo = !s->sfp || s->sfp_absent ||
                (s->i2c.st == 1 && (s->i2c.sh & 0xfe) != 0xa0);
        } else if (s->i2c.bit == 10) {                       /* ack done */
            s->i2c.sdo = 1;
            s->i2c.bit = 1;
            if (s->i2c.st == 1 && (s->i2c.sh & 1)) {
                s->i2c.rd = 1;
                s->i2c.bit = 0;
                s->i2c.dout = s->sfp_rom[s->i2c.ptr];
                s->i2c.sdo = s->i2c.dout >> 7;
            } else if (s->i2c.st == 1) {
                s->i2c.st = 2;
            } else {
                s->i2c.ptr = s->i2c.sh;
            }
            s->i2c.sh = 0;
        }
    }
    s->i2c.scl = scl;
    s->i2c.sda = sda;
}

void ix_eeprom(IX *s)
{
    uint16_t sum = 0;
    memset(s->ee, 0, sizeof(s->ee));
    memcpy(&s->ee[0x100], (uint16_t[]){ 0, 5, 0x110, 6, 0x110, 3, 0x110, 4, 0x110, 0xffff }, 20);
    memcpy(&s->ee[0x110], (uint16_t[]){ 0, 0x1, 0xffff }, 6);
    s->ee[0x0f] = 0x120;                        /* firmware module */
    s->ee[0x124] = 0x140;                       /* pass-through patch config */
    s->ee[0x147] = 6;                           /* version > 5 */
    s->ee[0x15] = 0x1234; s->ee[0x16] = 0x0056; /* old-style PBA number */
    s->ee[0x2b] = 0x100;                        /* SFP init list */
    s->ee[0x2c] = 0x81;                         /* any SFP, no crosstalk fix */
    s->ee[0x29] = 0x0007;
    s->ee[0x27] = s->ee[0x28] = s->ee[0x37] = 0xffff;
    for (int i = 0; i < 0x3f; i++) {
        sum += s->ee[i];
    }
    s->ee[0x3f] = 0xbaba - sum;
    s->sfp_rom[0] = 3;
    s->sfp_rom[3] = 0x10;                       /* 10GBASE-SR */
    s->sfp_rom[37] = 0x00; s->sfp_rom[38] = 0x1b; s->sfp_rom[39] = 0x21;
}

uint16_t ix_word(const IX *s, uint32_t at)
{
    if (at >= EE_WORDS || s->eeprom_fault == EEPROM_ABSENT) {
        return 0xffff;
    }
    return s->ee[at] ^ (at == 0x20 && s->eeprom_fault == EEPROM_CORRUPT);
}
