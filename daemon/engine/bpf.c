#include "engine/bpf.h"

#include <string.h>

#define SCRATCH	16

/* Instruction classes and their fields, as in every BPF since 1992. */
enum { LD, LDX, ST, STX, ALU, JMP, RET, MISC };
#define CLASS(code)	((code) & 0x07)
#define SIZE(code)	((code) & 0x18)		/* of LD, LDX */
#define MODE(code)	((code) & 0xe0)
#define OP(code)	((code) & 0xf0)		/* of ALU, JMP */
#define BY_X		0x08
enum { SIZE_W = 0x00, SIZE_H = 0x08, SIZE_B = 0x10 };
enum { MODE_IMM = 0x00, MODE_ABS = 0x20, MODE_IND = 0x40, MODE_MEM = 0x60,
       MODE_LEN = 0x80, MODE_MSH = 0xa0 };
enum { OP_ADD = 0x00, OP_SUB = 0x10, OP_MUL = 0x20, OP_DIV = 0x30,
       OP_OR = 0x40, OP_AND = 0x50, OP_LSH = 0x60, OP_RSH = 0x70,
       OP_NEG = 0x80, OP_MOD = 0x90, OP_XOR = 0xa0 };
enum { JMP_A = 0x00, JMP_EQ = 0x10, JMP_GT = 0x20, JMP_GE = 0x30,
       JMP_SET = 0x40 };
#define RET_A		0x10
#define MISC_TXA	0x80

/* ---- checking ---- */

static bool check_load(const struct capture_insn *i)
{
	bool x = CLASS(i->code) == LDX;

	if (i->code > 0xff)
		return false;
	switch (MODE(i->code)) {
	case MODE_IMM:
	case MODE_LEN:
		return SIZE(i->code) == SIZE_W;
	case MODE_MEM:
		return SIZE(i->code) == SIZE_W && i->k < SCRATCH;
	case MODE_ABS:
	case MODE_IND:
		return !x && SIZE(i->code) != 0x18;
	case MODE_MSH:
		return x && SIZE(i->code) == SIZE_B;
	}
	return false;
}

static bool check_alu(const struct capture_insn *i)
{
	uint32_t op = OP(i->code);

	if (i->code > 0xff || op > OP_XOR)
		return false;
	return i->code & BY_X || (op != OP_DIV && op != OP_MOD) || i->k != 0;
}

/* @left: instructions behind this one. */
static bool check_jump(const struct capture_insn *i, uint32_t left)
{
	if (i->code > 0xff || OP(i->code) > JMP_SET)
		return false;
	if (OP(i->code) == JMP_A)
		return i->k < left;
	return i->jt < left && i->jf < left;
}

bool bpf_check(const struct capture_insn *program, uint32_t count)
{
	if (count == 0 || count > CAPTURE_PROGRAM_MAX ||
	    CLASS(program[count - 1].code) != RET)
		return false;
	for (uint32_t n = 0; n < count; n++) {
		const struct capture_insn *i = &program[n];
		bool ok = true;

		switch (CLASS(i->code)) {
		case LD:
		case LDX:
			ok = check_load(i);
			break;
		case ST:
		case STX:
			ok = i->code <= 0x07 && i->k < SCRATCH;
			break;
		case ALU:
			ok = check_alu(i);
			break;
		case JMP:
			ok = check_jump(i, count - n - 1);
			break;
		default:
			ok = i->code <= 0xff;
		}
		if (!ok)
			return false;
	}
	return true;
}

/* ---- running ---- */

struct machine {
	uint32_t a, x, mem[SCRATCH];
	const uint8_t *frame;
	uint32_t len;
};

/* False: not in the frame. */
static bool fetch(const struct machine *m, uint32_t at, uint32_t size,
		  uint32_t *out)
{
	uint32_t bytes = size == SIZE_W ? 4 : size == SIZE_H ? 2 : 1;

	if (at > m->len || m->len - at < bytes)
		return false;
	*out = 0;
	while (bytes--)
		*out = *out << 8 | m->frame[at++];
	return true;
}

static bool load(struct machine *m, const struct capture_insn *i)
{
	bool x = CLASS(i->code) == LDX;
	uint32_t n = i->k, size = SIZE(i->code);

	switch (MODE(i->code)) {
	case MODE_LEN:
		n = m->len;
		break;
	case MODE_MEM:
		n = m->mem[i->k];
		break;
	case MODE_ABS:
		if (!fetch(m, i->k, size, &n))
			return false;
		break;
	case MODE_IND:
		if (i->k > UINT32_MAX - m->x ||
		    !fetch(m, m->x + i->k, size, &n))
			return false;
		break;
	case MODE_MSH:		/* the length of an IP header */
		if (!fetch(m, i->k, SIZE_B, &n))
			return false;
		n = (n & 0xf) << 2;
		break;
	default:
		break;
	}
	*(x ? &m->x : &m->a) = n;
	return true;
}

static bool alu(struct machine *m, const struct capture_insn *i)
{
	uint32_t n = i->code & BY_X ? m->x : i->k, op = OP(i->code);

	if (n == 0 && (op == OP_DIV || op == OP_MOD))
		return false;
	switch (op) {
	case OP_ADD: m->a += n; break;
	case OP_SUB: m->a -= n; break;
	case OP_MUL: m->a *= n; break;
	case OP_DIV: m->a /= n; break;
	case OP_MOD: m->a %= n; break;
	case OP_OR: m->a |= n; break;
	case OP_AND: m->a &= n; break;
	case OP_XOR: m->a ^= n; break;
	case OP_LSH: m->a = n < 32 ? m->a << n : 0; break;
	case OP_RSH: m->a = n < 32 ? m->a >> n : 0; break;
	default: m->a = 0u - m->a; break;
	}
	return true;
}

/* Instructions to skip. */
static uint32_t jump(const struct machine *m, const struct capture_insn *i)
{
	uint32_t n = i->code & BY_X ? m->x : i->k;
	bool yes;

	switch (OP(i->code)) {
	case JMP_A: return i->k;
	case JMP_EQ: yes = m->a == n; break;
	case JMP_GT: yes = m->a > n; break;
	case JMP_GE: yes = m->a >= n; break;
	default: yes = (m->a & n) != 0; break;
	}
	return yes ? i->jt : i->jf;
}

uint32_t bpf_run(const struct capture_insn *program, const uint8_t *frame,
		 uint32_t len)
{
	struct machine m = { .frame = frame, .len = len };

	for (const struct capture_insn *i = program; ; i++) {
		switch (CLASS(i->code)) {
		case LD:
		case LDX:
			if (!load(&m, i))
				return 0;
			break;
		case ST:
			m.mem[i->k] = m.a;
			break;
		case STX:
			m.mem[i->k] = m.x;
			break;
		case ALU:
			if (!alu(&m, i))
				return 0;
			break;
		case JMP:
			i += jump(&m, i);
			break;
		case RET:
			return i->code & RET_A ? m.a : i->k;
		case MISC:
			if (i->code & MISC_TXA)
				m.a = m.x;
			else
				m.x = m.a;
		}
	}
}
