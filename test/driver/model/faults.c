/*
 * faults.c - properties that break the device, on the command line or through
 * QMP (qom-set) while it runs
 *
 *	sfp-absent	1: the cage is empty; 0 again: a module is put in
 *	link-flap-ms	the link goes and comes at this interval
 *	eeprom-fault	1: a word is wrong, the sum with it; 2: there is none
 *	enable-stuck	bits: 1 receive, 2 transmit queues never start;
 *			4 and 8: they never stop
 *	tx-hang		1: nothing is sent until the next reset; 2: nor after it
 *	dma-errors	so many DMA transfers fail; the first stops all DMA
 *			until a reset and raises EICR's PCI exception
 *	lost-interrupts	so many MSI-X messages go nowhere
 *	gone		1: pulled out; registers read ones, no DMA, no interrupt
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"
#include "qapi/visitor.h"

static const struct {
    const char *name;
    size_t at;
} faults[] = {
    { "sfp-absent", offsetof(IX, sfp_absent) },
    { "link-flap-ms", offsetof(IX, link_flap_ms) },
    { "eeprom-fault", offsetof(IX, eeprom_fault) },
    { "enable-stuck", offsetof(IX, enable_stuck) },
    { "tx-hang", offsetof(IX, tx_hang) },
    { "dma-errors", offsetof(IX, dma_errors) },
    { "lost-interrupts", offsetof(IX, lost_interrupts) },
    { "gone", offsetof(IX, gone) },
};

bool ix_fault_stuck(const IX *s, bool tx, bool enable)
{
    uint32_t bit = tx ? (enable ? STUCK_TX_ON : STUCK_TX_OFF)
                      : (enable ? STUCK_RX_ON : STUCK_RX_OFF);

    return s->enable_stuck & bit;
}

static void flap(void *opaque)
{
    IX *s = opaque;

    s->flap_down = s->link_flap_ms && !s->flap_down;
    ix_link_changed(s);
    if (s->link_flap_ms) {
        timer_mod(s->flap, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                  s->link_flap_ms);
    }
}

static void get_fault(Object *o, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    visit_type_uint32(v, name, opaque + (size_t)IXGBE82599(o), errp);
}

/* What else changes at once, the device being there already. */
static void took_effect(IX *s, uint32_t *field)
{
    if (field == &s->sfp_absent && s->sfp) {
        ix_cause(s, 1 << 26);           /* module present, SDP2 */
        ix_link_changed(s);
    } else if (field == &s->link_flap_ms) {
        flap(s);
    } else if (field == &s->enable_stuck) {
        for (int i = 0; i < NQ; i++) {  /* what waits goes on */
            s->rxq[i].switch_at = s->txq[i].switch_at = 0;
        }
    }
}

static void set_fault(Object *o, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    IX *s = IXGBE82599(o);
    uint32_t *field = opaque + (size_t)s;

    if (visit_type_uint32(v, name, field, errp) && DEVICE(s)->realized) {
        took_effect(s, field);
    }
}

void ix_fault_class(ObjectClass *oc)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        object_class_property_add(oc, faults[i].name, "uint32", get_fault,
                                  set_fault, NULL, (void *)faults[i].at);
    }
}

void ix_fault_init(IX *s)
{
    s->flap = timer_new_ms(QEMU_CLOCK_VIRTUAL, flap, s);
    if (s->link_flap_ms) {
        flap(s);
    }
}

void ix_fault_exit(IX *s)
{
    timer_free(s->flap);
}
