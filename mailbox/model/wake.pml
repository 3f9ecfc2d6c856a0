/*
 * wake.pml: a mailbox without work holds no goroutine; publishers and signals
 * start one.
 *
 * Claims: when everything is quiet no published event is left unread and no
 * signal unseen (no lost wake-up); at most one goroutine owns a mailbox; the
 * sleepers stack is never corrupted.
 *
 * The mailbox goes on the stack (S1) and looks at its next slot (S2) while the
 * goroutine still owns it. A publisher that takes it off the stack meanwhile
 * finds it RUNNING and does not wake it, so after IDLE is stored S3 looks
 * whether it still is on the stack. From that store on the goroutine touches
 * atomics only: its successor may be at work already, so several goroutines of
 * one mailbox live at once.
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 1
#endif
#ifndef BOXES
#define BOXES 2
#endif
#ifndef LOOPS
#define LOOPS 2                             /* goroutines of one mailbox alive at once */
#endif
#ifndef PAUSES
#define PAUSES 0                            /* mailbox 0 is paused and resumed so often */
#endif
#define SLOTS (PRODS * EVENTS)
#define NIL 255

#define IDLE    0
#define DORMANT 1                           /* not runnable: events do not wake it, signals do */
#define RUNNING 2

byte claim;
bool ready[SLOTS + 1];                      /* slot state is not EMPTY */

byte state[BOXES];
bool parked[BOXES];                         /* on the stack, or in the hand of whoever took it off */
byte next[BOXES];
byte sleepers = NIL;
bool sig[BOXES];
bool paused[BOXES];
byte pos[BOXES];                            /* the reader: plain, belongs to the owner of the mailbox */

byte started[BOXES];                        /* go statements executed, goroutine not yet scheduled */
bool owned[BOXES];                          /* ghost: a goroutine is between RUNNING and IDLE */
byte alive[BOXES];                          /* ghost: bit j set while goroutine j exists */

/* if state == IDLE && CAS(IDLE, RUNNING) { go run }. The first test only saves a CAS. */
inline Wake(b) {
#ifdef MUTANT_WAKE_WITHOUT_CAS
	if
	:: state[b] == IDLE -> d_step { state[b] = RUNNING; started[b]++ }
	:: else
	fi
#else
	d_step {
		if
		:: state[b] == IDLE -> state[b] = RUNNING; started[b]++
		:: else
		fi
	}
#endif
}

/* Any state but RUNNING becomes RUNNING. */
inline Start(b) {
	d_step {
		if
		:: state[b] != RUNNING -> state[b] = RUNNING; started[b]++
		:: else
		fi
	}
}

inline Signal(b) {
#ifdef MUTANT_START_BEFORE_SIGNAL
	Start(b);
	sig[b] = true
#else
	sig[b] = true;
	Start(b)
#endif
}

inline WakeSleepers(h, n) {
	if
	:: sleepers != NIL ->                                                   /* P5 */
#ifdef MUTANT_SPLIT_SWAP
		h = sleepers;
		sleepers = NIL;
#else
		d_step { h = sleepers; sleepers = NIL };
#endif
		do
		:: h != NIL ->
#ifdef MUTANT_NEXT_AFTER_UNPARK
			parked[h] = false;
			n = next[h];
			Wake(h);
#else
			n = next[h];
#ifdef MUTANT_UNPARK_AFTER_WAKE
			Wake(h);
			parked[h] = false;
#else
			parked[h] = false;
			Wake(h);
#endif
#endif
			h = n
		:: else -> break
		od
	:: else
	fi;
	atomic { h = 0; n = 0 }
}

/* Cursor.Sleep. Only the goroutine that turned parked may touch next. */
inline Sleep(b, was, h) {
#ifdef MUTANT_PUSH_TWICE
	was = false; parked[b] = true;
#else
	d_step { was = parked[b]; parked[b] = true };
#endif
	if
	:: !was ->
#ifdef MUTANT_PUSH_WITHOUT_CAS
		h = sleepers;
		next[b] = h;
		sleepers = b
#else
		do
		:: h = sleepers;
			next[b] = h;
			if
			:: atomic { sleepers == h -> sleepers = b }; break              /* S1 */
			:: atomic { sleepers != h -> h = 0 }
			fi
		od
#endif
	:: else
	fi;
	atomic { was = false; h = 0 }
}

proctype Producer() {
	byte i, k, h, n;
	do
	:: k < EVENTS ->
		d_step { i = claim; claim++ };                                      /* P1 */
#ifdef MUTANT_WAKE_BEFORE_READY
		WakeSleepers(h, n);
		ready[i] = true;
#else
		ready[i] = true;                                                    /* P4 */
		WakeSleepers(h, n);                                                 /* P5 */
#endif
		d_step { k++; i = 0 }
	:: else -> break
	od
}

proctype Operator() {
	byte k;
	do
	:: k < PAUSES ->
		paused[0] = true;
		Signal(0);
#ifdef MUTANT_SIGNAL_BEFORE_CHANGE
		Signal(0);
		paused[0] = false;
#else
		paused[0] = false;
		Signal(0);
#endif
		k++
	:: else -> break
	od
}

/* Goroutine j of a mailbox; the lowest free one takes a go statement, which loses no interleaving. */
proctype Run(byte b; byte j) {
	byte h;
	bool was, runnable;
end_pool:
	do
	:: atomic { started[b] > 0 && !(alive[b] >> j & 1) && (alive[b] & ((1 << j) - 1)) == (1 << j) - 1 ->
			started[b]--; alive[b] = alive[b] | 1 << j };
busy:
		atomic { assert(!owned[b]); owned[b] = true };
look:
#ifdef MUTANT_SIGNAL_CLEARED_LATE
		runnable = !paused[b];
		sig[b] = false;
#else
		sig[b] = false;
		runnable = !paused[b];
#endif
		if
		:: runnable && ready[pos[b]] -> pos[b]++; goto look                  /* C1 C2 */
		:: else
		fi;
		if
		:: sig[b] -> goto look
		:: else
		fi;
#ifdef MUTANT_LOOK_AT_LIVE_READER
		owned[b] = false;
		state[b] = (runnable -> IDLE : DORMANT);
		if
		:: runnable -> Sleep(b, was, h)
		:: else
		fi;
		if
		:: sig[b]
		:: else ->
			if
			:: runnable ->
				atomic {
					assert(!owned[b]);      /* a data race: the reader is the successor's */
					if
					:: ready[pos[b]]
					:: else -> goto gone
					fi
				}
			:: else -> goto gone
			fi
		fi;
#else
		if
		:: runnable ->
			Sleep(b, was, h);                                               /* S1 */
#ifndef MUTANT_SLEEP_WITHOUT_LOOK
			if
			:: ready[pos[b]] -> pos[b]++; goto look                         /* S2 */
			:: else
			fi
#endif
		:: else
		fi;
		owned[b] = false;
		state[b] = (runnable -> IDLE : DORMANT);
		if
#ifndef MUTANT_SIGNAL_NOT_RECHECKED
		:: sig[b]
#endif
#ifndef MUTANT_PARKED_NOT_RECHECKED
		:: runnable && !parked[b]                                           /* S3 */
#endif
		:: else -> goto gone
		fi;
#endif
		if
#ifdef MUTANT_RESUME_WITHOUT_CAS
		:: state[b] = RUNNING; goto busy
#else
		:: atomic { state[b] == (runnable -> IDLE : DORMANT) -> state[b] = RUNNING }; goto busy
		:: state[b] != (runnable -> IDLE : DORMANT)
#endif
		fi;
gone:
		atomic { runnable = false; alive[b] = alive[b] & ~(1 << j) }
	od
}

init {
	byte p, b;
	atomic {
		do
		:: p < PRODS -> run Producer(); p++
		:: else -> break
		od;
		if
		:: PAUSES > 0 -> run Operator()
		:: else
		fi;
		do
		:: b < BOXES ->
			next[b] = NIL;
#ifdef ASLEEP
			parked[b] = true; next[b] = sleepers; sleepers = b;
#elif !defined(MUTANT_SUBSCRIBE_ASLEEP)
			state[b] = RUNNING; started[b] = 1;     /* a new cursor is on no stack: its first run puts it there */
#endif
			p = 0;
			do
			:: p < LOOPS -> run Run(b, p); p++
			:: else -> break
			od;
			b++
		:: else -> break
		od;
		p = 0; b = 0
	};
	timeout ->                              /* quiet: nobody can take another step */
	do
	:: b < BOXES ->
		assert(pos[b] == SLOTS);
		assert(!sig[b]);
		assert(state[b] == IDLE);
		b++
	:: else -> break
	od
}
