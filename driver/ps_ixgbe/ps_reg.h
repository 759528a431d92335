/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_reg.h - the 82599's registers that this driver uses (datasheet 8.2.3)
 */
#ifndef PS_REG_H
#define PS_REG_H

#define CTRL		0x00000
#define  CTRL_GIO_DIS		(1u << 2)
#define  CTRL_LNK_RST		(1u << 3)
#define  CTRL_RST		(1u << 26)
#define STATUS		0x00008
#define  STATUS_GIO		(1u << 19)
#define CTRL_EXT	0x00018
#define  CTRL_EXT_NS_DIS	(1u << 16)
#define  CTRL_EXT_DRV_LOAD	(1u << 28)
#define I2CCTL		0x00028
#define  I2C_CLOCK_OUT		(1u << 1)
#define  I2C_DATA_IN		(1u << 2)
#define  I2C_DATA_OUT		(1u << 3)
#define EICR		0x00800
#define  EICR_PCI		(1u << 18)	/* a DMA transfer failed */
#define  EICR_LSC		(1u << 20)
#define  EICR_SDP2		(1u << 26)	/* SFP+ module in or out */
#define  EICR_ECC		(1u << 28)
#define  EICR_OTHER		(EICR_PCI | EICR_LSC | EICR_SDP2 | EICR_ECC)
#define  EITR_KEEP_COUNT	(1u << 31)
#define EITR(v)		((v) < 24 ? 0x00820 + (v) * 4 : 0x12300 + ((v) - 24) * 4)
#define EIAC		0x00810
#define EIMS		0x00880
#define EIMC		0x00888
#define GPIE		0x00898
#define  GPIE_SDP2		(1u << 2)
#define  GPIE_MULTIPLE_MSIX	(1u << 4)
#define  GPIE_EIAME		(1u << 30)
#define  GPIE_PBA		(1u << 31)
#define IVAR(q)		(0x00900 + ((q) >> 1) * 4)
#define IVAR_MISC	0x00a00
#define EIMS_EX(i)	(0x00aa0 + (i) * 4)
#define EIMC_EX(i)	(0x00ab0 + (i) * 4)
#define EIAM_EX(i)	(0x00ad0 + (i) * 4)

#define RDBAL(q)	(0x01000 + (q) * 0x40)
#define RDBAH(q)	(0x01004 + (q) * 0x40)
#define RDLEN(q)	(0x01008 + (q) * 0x40)
#define DCA_RXCTRL(q)	(0x0100c + (q) * 0x40)
#define RDH(q)		(0x01010 + (q) * 0x40)
#define SRRCTL(q)	(0x01014 + (q) * 0x40)
#define  SRRCTL_2K		2u
#define  SRRCTL_ADVANCED	(1u << 25)
#define  SRRCTL_DROP		(1u << 28)
#define RDT(q)		(0x01018 + (q) * 0x40)
#define RXDCTL(q)	(0x01028 + (q) * 0x40)
#define  XDCTL_ENABLE		(1u << 25)
#define  RXDCTL_VME		(1u << 30)
#define QPRDC(q)	(0x01430 + (q) * 0x40)
#define RDRXCTL		0x02f00
#define  RDRXCTL_CRCSTRIP	(1u << 1)
#define  RDRXCTL_DMAIDONE	(1u << 3)
#define  RDRXCTL_RSCFRST	(0x1fu << 17)
#define  RDRXCTL_RSCACKC	(1u << 25)	/* to be set, as the next */
#define  RDRXCTL_FCOE_WRFIX	(1u << 26)
#define RXCTRL		0x03000
#define FCTTV		0x03200
#define FCRTL		0x03220
#define  FCRTL_XON		(1u << 31)
#define FCRTH		0x03260
#define  FCRTH_ENABLE		(1u << 31)
#define FCRTV		0x032a0
#define FCCFG		0x03d00
#define  FCCFG_TRANSMIT		(1u << 3)
#define RXMPC(i)	(0x03fa0 + (i) * 4)
#define HLREG0		0x04240
#define  HLREG0_TXCRCEN		(1u << 0)
#define  HLREG0_RXCRCSTRP	(1u << 1)
#define  HLREG0_JUMBOEN		(1u << 2)
#define  HLREG0_TXPADEN		(1u << 10)
#define MAXFRS		0x04268
#define AUTOC		0x042a0
#define  AUTOC_RESTART		(1u << 12)
#define  AUTOC_LMS		(7u << 13)
#define  AUTOC_LMS_SFI		(3u << 13)
#define LINKS		0x042a4
#define  LINKS_UP		(1u << 30)
#define  LINKS_SPEED		(3u << 28)
#define MFLCN		0x04294
#define  MFLCN_DISCARD		(1u << 1)
#define  MFLCN_RECEIVE		(1u << 3)
#define RTTDCS		0x04900
#define  RTTDCS_ARBDIS		(1u << 6)
#define TXPBTHRESH(i)	(0x04950 + (i) * 4)
#define DMATXCTL	0x04a80
#define  DMATXCTL_TE		(1u << 0)
#define TDBAL(q)	(0x06000 + (q) * 0x40)
#define TDBAH(q)	(0x06004 + (q) * 0x40)
#define TDLEN(q)	(0x06008 + (q) * 0x40)
#define TDH(q)		(0x06010 + (q) * 0x40)
#define TDT(q)		(0x06018 + (q) * 0x40)
#define TXDCTL(q)	(0x06028 + (q) * 0x40)
#define DTXMXSZRQ	0x08100
#define CORECTL		0x14f00
#define SECRXCTRL	0x08d00
#define  SECRXCTRL_RX_DIS	(1u << 1)
#define SECRXSTAT	0x08d04
#define  SECRXSTAT_READY	(1u << 0)
#define TXPBSIZE(i)	(0x0cc00 + (i) * 4)

#define RXCSUM		0x05000
#define  RXCSUM_PCSD		(1u << 13)
#define FCTRL		0x05080
#define  FCTRL_MPE		(1u << 8)
#define  FCTRL_UPE		(1u << 9)
#define  FCTRL_BAM		(1u << 10)
#define MTA(i)		(0x05200 + (i) * 4)
#define MRQC		0x05818
#define  MRQC_RSS		(1u | 1u << 16 | 1u << 17 | 1u << 20 | 1u << 21)
#define RETA(i)		(0x05c00 + (i) * 4)
#define RSSRK(i)	(0x05c80 + (i) * 4)
#define RAL(i)		(0x0a200 + (i) * 8)
#define RAH(i)		(0x0a204 + (i) * 8)
#define VFTA(i)		(0x0a000 + (i) * 4)
#define EEC		0x10010
#define  EEC_PRESENT		(1u << 8)
#define  EEC_AUTO_READ		(1u << 9)
#define EERD		0x10014
#define  EERD_START		(1u << 0)
#define  EERD_DONE		(1u << 1)
#define EEMNGCTL	0x10110
#define SWSM		0x10140
#define  SWSM_SMBI		(1u << 0)
#define  SWSM_SWESMBI		(1u << 1)
#define GSSR		0x10160
#define  GSSR_EEPROM		(1u << 0)
#define  GSSR_PHY(port)		(2u << (port))
#define  GSSR_CSR		(1u << 3)
#define  GSSR_FIRMWARE		5	/* shift of firmware's copy of a bit */

#endif
