/* An Arduino Uno on this machine: simavr executes the firmware of a .hex file, UART0 is a pty, outputs are told as JSON lines.
 *
 *   avr_runner FIRMWARE.hex LINK
 *
 * LINK becomes a symbolic link to the pty. Standard output, one object a line:
 *   {"event": "ready"}                               once
 *   {"pin": 5, "value": 100, "ms": 2512}             a digital pin's output has changed: 0..255 (PWM duty; 255 = high), at
 *                                                    the chip's own time
 * Standard input, one order a line, and its end ends the run:
 *   reset                                            the reset button
 *   adc CHANNEL MILLIVOLTS                           voltage at an analogue pin
 *   wire HEX                                         bytes that come through the cable next (at most 24)
 * Bytes reach the chip at the pace of 57600 baud, as on a wire; it runs at most as fast as the wall clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_hex.h>

enum { CLOCK_HZ = 16000000, BYTE_CYCLES = CLOCK_HZ / 5760, SLICE_CYCLES = CLOCK_HZ / 4000, BEHIND_NS = 50000000 };
/* Registers of the ATmega328P in data space. */
enum { PINB_ = 0x23, DDRB_ = 0x24, PORTB_ = 0x25, DDRD_ = 0x2A, PORTD_ = 0x2B, TCCR0A_ = 0x44, OCR0A_ = 0x47, OCR0B_ = 0x48 };

static int pty;
static int may_send = 1;
static uint8_t injected[24];
static int injected_left, injected_next;

static void on_byte(struct avr_irq_t *irq, uint32_t value, void *param)
{
	(void)irq, (void)param;
	uint8_t byte = (uint8_t)value;
	if (write(pty, &byte, 1) < 0 && errno != EAGAIN && errno != EIO)
		perror("pty");
}

static void on_xon(struct avr_irq_t *irq, uint32_t value, void *param) { (void)irq, (void)value, (void)param; may_send = 1; }
static void on_xoff(struct avr_irq_t *irq, uint32_t value, void *param) { (void)irq, (void)value, (void)param; may_send = 0; }

/* What a pin gives: nothing as an input, the duty where the timer has it, else its level. Pins 5 and 6 belong to timer 0. */
static int output(const avr_t *avr, int pin)
{
	const uint8_t *d = avr->data;
	int bit = pin < 8 ? pin : pin - 8, port = pin < 8 ? PORTD_ : PORTB_, ddr = pin < 8 ? DDRD_ : DDRB_;
	if (!(d[ddr] >> bit & 1))
		return 0;
	if (pin == 5 && d[TCCR0A_] & 0x20)
		return d[OCR0B_];
	if (pin == 6 && d[TCCR0A_] & 0x80)
		return d[OCR0A_];
	return d[port] >> bit & 1 ? 255 : 0;
}

static void tell_changes(const avr_t *avr, int *before)
{
	for (int pin = 2; pin <= 13; pin++) {
		int now = output(avr, pin);
		if (now != before[pin]) {
			before[pin] = now;
			printf("{\"pin\": %d, \"value\": %d, \"ms\": %llu}\n", pin, now, (unsigned long long)(avr->cycle / (CLOCK_HZ / 1000)));
		}
	}
	fflush(stdout);
}

static int open_pty(const char *link_path)
{
	struct termios raw;
	pty = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (pty < 0 || grantpt(pty) || unlockpt(pty))
		return -1;
	int slave = open(ptsname(pty), O_RDWR | O_NOCTTY); /* kept open: the port stays when a client closes it */
	if (slave < 0 || tcgetattr(slave, &raw))
		return -1;
	cfmakeraw(&raw);
	unlink(link_path);
	return tcsetattr(slave, TCSANOW, &raw) || symlink(ptsname(pty), link_path) ? -1 : 0;
}

static avr_t *make_uno(const char *hex)
{
	uint32_t size = 0, start = 0;
	uint8_t *code = read_ihex_file(hex, &size, &start);
	avr_t *avr = avr_make_mcu_by_name("atmega328p");
	if (!code || !avr)
		return NULL;
	avr_init(avr);
	avr->frequency = CLOCK_HZ;
	avr->vcc = avr->avcc = avr->aref = 5000;
	memcpy(avr->flash + start, code, size);
	free(code);
	avr->pc = start;
	avr->codeend = avr->flashend;
	uint32_t flags = 0; /* neither echo on the console nor sleeping while it polls */
	avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
	avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, NULL);
	avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_xon, NULL);
	avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_xoff, NULL);
	return avr;
}

static void obey(avr_t *avr, const char *order)
{
	unsigned channel, millivolts, byte;
	if (!strncmp(order, "reset", 5))
		avr_reset(avr);
	else if (sscanf(order, "adc %u %u", &channel, &millivolts) == 2 && channel < 8)
		avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0 + channel), millivolts);
	else if (!strncmp(order, "wire ", 5)) {
		injected_next = injected_left = 0;
		for (order += 5; injected_left < (int)sizeof injected && sscanf(order, "%2x", &byte) == 1; order += 2)
			injected[injected_left++] = (uint8_t)byte;
	}
}

static int next_byte_of_wire(uint8_t *byte)
{
	if (injected_next < injected_left) {
		*byte = injected[injected_next++];
		return 1;
	}
	return read(pty, byte, 1) == 1;
}

static int take_orders(avr_t *avr)
{
	static char line[64];
	static size_t used;
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	while (poll(&in, 1, 0) > 0) {
		char c;
		if (read(STDIN_FILENO, &c, 1) != 1)
			return 0;
		if (c == '\n') {
			line[used] = 0;
			obey(avr, line);
			used = 0;
		} else if (used < sizeof line - 1)
			line[used++] = c;
	}
	return 1;
}

/* Let the wall clock catch up; a simulation that is far behind does not hurry afterwards. */
static void keep_pace(avr_t *avr)
{
	static int64_t offset_ns;
	static int begun;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t wall = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec, chip = (int64_t)(avr->cycle * 1000 / (CLOCK_HZ / 1000000));
	if (!begun || wall - (chip + offset_ns) > BEHIND_NS) {
		offset_ns = wall - chip;
		begun = 1;
	}
	int64_t ahead = chip + offset_ns - wall;
	if (ahead > 0)
		nanosleep(&(struct timespec){ahead / 1000000000, ahead % 1000000000}, NULL);
}

int main(int argc, char **argv)
{
	avr_t *avr;
	int before[14] = {0};
	avr_cycle_count_t next_byte = 0, next_slice = 0, next_pace = 0;
	if (argc != 3 || open_pty(argv[2]) || !(avr = make_uno(argv[1])))
		return fprintf(stderr, "avr_runner FIRMWARE.hex LINK\n"), 2;
	avr_irq_t *input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
	printf("{\"event\": \"ready\"}\n");
	for (;;) {
		int state = avr_run(avr);
		if (state == cpu_Done || state == cpu_Crashed)
			return fprintf(stderr, "the chip has crashed\n"), 1;
		if (avr->cycle >= next_byte) {
			uint8_t byte;
			next_byte = avr->cycle + BYTE_CYCLES;
			if (may_send && next_byte_of_wire(&byte))
				avr_raise_irq(input, byte);
		}
		if (avr->cycle >= next_slice) {
			next_slice = avr->cycle + SLICE_CYCLES;
			tell_changes(avr, before);
		}
		if (avr->cycle >= next_pace) {
			next_pace = avr->cycle + 4 * SLICE_CYCLES;
			keep_pace(avr);
			if (!take_orders(avr))
				return 0;
		}
	}
}
