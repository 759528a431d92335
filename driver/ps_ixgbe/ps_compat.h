/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_compat.h - what differs between the kernels that we build on, 6.1 to 6.12
 */
#ifndef PS_COMPAT_H
#define PS_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void ps_vm_flags_set(struct vm_area_struct *vma,
				   unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void ps_vm_flags_clear(struct vm_area_struct *vma,
				     unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#else
static inline void ps_vm_flags_set(struct vm_area_struct *vma,
				   unsigned long flags)
{
	vm_flags_set(vma, flags);
}

static inline void ps_vm_flags_clear(struct vm_area_struct *vma,
				     unsigned long flags)
{
	vm_flags_clear(vma, flags);
}
#endif

#endif
