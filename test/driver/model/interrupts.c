/*
 * interrupts.c - causes, masks, and the messages that come of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

#define PBA_SUPPORT    0x10         /* GPIE: MSI-X */
#define EIAME          0x40000000   /* GPIE: mask what was told */

static void message(IX *s, int vector)
{
    if (s->lost_interrupts) {
        s->lost_interrupts--;
    } else if (!s->gone) {
        msix_notify(PCI_DEVICE(s), vector);
    }
}

static void messages(IX *s)
{
    uint64_t f = s->eicr_q & s->eims_q;

    while (f) {
        int v = ctz64(f);

        f &= f - 1;
        s->eicr_q &= ~(1ull << v);               /* EIAC-style auto clear */
        s->eims_q &= ~(s->eiam_q & (1ull << v)); /* auto mask */
        message(s, v);
    }
    if ((s->eicr & s->eims) && (R(IVAR_MISC) & 0x8000)) {
        s->eims &= ~(R(EIAM) & s->eicr & s->eims);
        message(s, (R(IVAR_MISC) >> 8) & 0x3f);
    }
}

void ix_lines(IX *s)
{
    PCIDevice *d = PCI_DEVICE(s);
    bool pend = s->eicr & s->eims;

    if (msix_enabled(d)) {
        messages(s);
        return;
    }
    if (pend && (R(GPIE) & EIAME)) {
        s->eims &= ~(R(EIAM) & s->eicr);
    }
    if (!msi_enabled(d)) {
        pci_set_irq(d, pend);
    } else if (pend) {
        msi_notify(d, 0);
    }
}

void ix_cause(IX *s, uint32_t bits)
{
    s->eicr |= bits;
    ix_lines(s);
}

void ix_qcause(IX *s, int q, int tx)
{
    uint32_t iv = R(IVAR0 + (q >> 1) * 4) >> (16 * (q & 1) + 8 * tx);

    if (!(iv & 0x80)) {
        return;
    }
    if (R(GPIE) & PBA_SUPPORT) {
        s->eicr_q |= 1ull << (iv & 0x3f);
    } else {
        s->eicr |= 1u << (iv & 0xf);
    }
    ix_lines(s);
}

/* With MSI-X bits 15:0 of EICS, EIMS and EIMC are vectors. */
static uint32_t others(IX *s, uint32_t v)
{
    return v & (R(GPIE) & PBA_SUPPORT ? 0xffff0000 : ~0u);
}

static uint32_t vectors(IX *s, uint32_t v)
{
    return R(GPIE) & PBA_SUPPORT ? v & 0xffff : 0;
}

uint32_t ix_read_eicr(IX *s, uint32_t a, uint32_t v)
{
    v = s->eicr | (s->eicr_q & 0xffff);
    s->eicr = 0;
    if (!(R(GPIE) & PBA_SUPPORT)) {
        ix_lines(s);
    }
    return v;
}

uint32_t ix_read_eics(IX *s, uint32_t a, uint32_t v)
{
    return s->eicr | (s->eicr_q & 0xffff);
}

uint32_t ix_read_mask(IX *s, uint32_t a, uint32_t v)
{
    return s->eims | (s->eims_q & 0xffff);
}

uint32_t ix_read_mask_ex(IX *s, uint32_t a, uint32_t v)
{
    return s->eims_q >> (a == EIMS_EX ? 0 : 32);
}

void ix_write_eicr(IX *s, uint32_t a, uint32_t v)
{
    s->eicr &= ~v;
    ix_lines(s);
}

void ix_write_eics(IX *s, uint32_t a, uint32_t v)
{
    s->eicr |= others(s, v);
    s->eicr_q |= vectors(s, v);
    ix_lines(s);
}

void ix_write_eims(IX *s, uint32_t a, uint32_t v)
{
    s->eims |= others(s, v);
    s->eims_q |= vectors(s, v);
    ix_lines(s);
}

void ix_write_eimc(IX *s, uint32_t a, uint32_t v)
{
    s->eims &= ~v;
    s->eims_q &= ~(uint64_t)(v & 0xffff);
    ix_lines(s);
}

void ix_write_eics_ex(IX *s, uint32_t a, uint32_t v)
{
    s->eicr_q |= (uint64_t)v << (a == EICS_EX ? 0 : 32);
    ix_lines(s);
}

void ix_write_eims_ex(IX *s, uint32_t a, uint32_t v)
{
    s->eims_q |= (uint64_t)v << (a == EIMS_EX ? 0 : 32);
    ix_lines(s);
}

void ix_write_eimc_ex(IX *s, uint32_t a, uint32_t v)
{
    s->eims_q &= ~((uint64_t)v << (a == EIMC_EX ? 0 : 32));
}

void ix_write_eiam_ex(IX *s, uint32_t a, uint32_t v)
{
    R(a) = v;
    s->eiam_q = R(EIAM_EX) | (uint64_t)R(EIAM_EX + 4) << 32;
}
