/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_compat.h - what differs between the kernels that we build on, 6.1 to 6.12
 */
#ifndef PS_COMPAT_H
#define PS_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

/* Since 6.2 the bus asks its devices to report errors. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#include <linux/aer.h>
#else
#define pci_enable_pcie_error_reporting(pdev)	((void)(pdev))
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#define vm_flags_clear(vma, flags)	((vma)->vm_flags &= ~(flags))
#endif

#endif
