/*
 * log.pml: claim a slot, fill it, hand it to the readers; link the next segment;
 * find the head of the log while all that goes on.
 *
 * Claims: every reader sees every accepted event from its start on, once, the
 * events of one producer in the order they were published, and all readers see
 * one order. A newcomer's start is not below a claim made before it spoke up,
 * so whoever claims from its start on reads the limit after it was lowered.
 *
 * A producer may give up after its claim (a tombstone). Readers are always
 * awake here (wake.pml), there is always room (gate.pml), nothing is cleared
 * (clear.pml).
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef NEWCOMER
#define NEWCOMER 1                          /* reader 1 subscribes at some time; else it is there from the start */
#endif
#define READERS 2
#define SEG 2                               /* slots in a segment */
#define SLOTS (PRODS * EVENTS)
#define SEGS (SLOTS / SEG + PRODS)          /* linked ones, and one in each producer's hand */
#define NIL 0

#define EMPTY 0
#define READY 1
#define TOMB  2

typedef Segment {
	byte base;
	byte claim;
	byte next;                              /* NIL, or an index into seg */
	byte state[SEG];
	byte value[SEG]
}
Segment seg[SEGS + 1];                      /* seg[0] stands for nil */
bool used[SEGS + 1];
byte tail = 1;

bool lowered;                               /* the newcomer has set soft and limit to 0 */
bool joined;                                /* ghost: Subscribe has returned */
byte before;                                /* ghost: one past the last claim made before */
bool accepted[SLOTS];                       /* ghost: published READY */
byte count[READERS];                        /* ghost: events read */
byte want[READERS * PRODS];                 /* ghost: lowest event number that may come next */
byte seen[SLOTS];                           /* ghost: what the first reader found at a position */
byte start;                                 /* of reader 1 */

inline Alloc(n) {
	d_step {
		n = 1;
		do
		:: used[n] -> n++
		:: else -> break
		od;
		used[n] = true;
		seg[n].base = seg[s].base + SEG
	}
}

inline Claimed() {
	assert(!joined || i >= SEG || seg[s].base + i >= start);
	if
	:: i < SEG && !lowered && seg[s].base + i >= before -> before = seg[s].base + i + 1
	:: else
	fi
}

proctype Producer(byte id) {
	byte s, n, i, k;
	do
	:: k < EVENTS ->
again:
		s = tail;
#ifdef MUTANT_NONATOMIC_CLAIM
		i = seg[s].claim;
		d_step { seg[s].claim = i + 1; Claimed() };
#else
		d_step { i = seg[s].claim; seg[s].claim++; Claimed() };             /* P1 */
#endif
		if
		:: i >= SEG ->                                                      /* extend */
			n = seg[s].next;
			if
			:: n == NIL ->
				Alloc(n);
#ifdef MUTANT_LINK_WITHOUT_CAS
				seg[s].next = n;
#else
				d_step {
					if
					:: seg[s].next == NIL -> seg[s].next = n
					:: else -> used[n] = false; seg[n].base = 0; n = seg[s].next
					fi
				};
#endif
			:: else
			fi;
			d_step {
				if
				:: tail == s -> tail = n
				:: else
				fi;
				s = 0; n = 0; i = 0
			};
			goto again
		:: else
		fi;
		if
		:: true ->
#ifdef MUTANT_READY_BEFORE_VALUE
			d_step { seg[s].state[i] = READY; accepted[seg[s].base + i] = true };
			seg[s].value[i] = id * EVENTS + k + 1;
#else
			seg[s].value[i] = id * EVENTS + k + 1;                          /* P3 */
			d_step { seg[s].state[i] = READY; accepted[seg[s].base + i] = true }; /* P4 */
#endif
		:: true ->
			seg[s].state[i] = TOMB
		fi;
		d_step { k++; s = 0; n = 0; i = 0 }
	:: else -> break
	od
}

proctype Reader(byte r) {
	byte s = 1, i, at, v;
	if
	:: NEWCOMER && r == 1 ->                                                /* Subscribe */
#ifdef MUTANT_HEAD_BEFORE_LOWER
		s = tail;
		i = seg[s].claim;
		lowered = true;
#else
		lowered = true;
		s = tail;
#endif
		do
		:: seg[s].next != NIL -> s = seg[s].next
		:: else -> break
		od;
#ifndef MUTANT_HEAD_BEFORE_LOWER
		i = seg[s].claim;
#endif
		atomic {
#ifndef MUTANT_HEAD_COUNTS_OVERRUN
			if
			:: i > SEG -> i = SEG
			:: else
			fi;
#endif
			at = seg[s].base + i;
			start = at;
			joined = true;
			assert(start >= before)
		}
	:: else
	fi;
	do
	:: i == SEG ->
end_link:
		atomic { seg[s].next != NIL -> s = seg[s].next; i = 0 }
	:: i != SEG ->
end_slot:
#ifdef MUTANT_SKIP_UNREADY
		if
		:: seg[s].state[i] != EMPTY
		:: i == 0 && seg[s].state[1] != EMPTY -> i = 1; at++
		fi;
#else
		i < SEG && seg[s].state[i] != EMPTY;                                /* C1 */
#endif
		if
		:: seg[s].state[i] == TOMB
#ifdef MUTANT_TOMB_NOT_SKIPPED
			-> break
#endif
		:: seg[s].state[i] == READY ->
			v = seg[s].value[i];                                            /* C2 */
			d_step {
				assert(v != 0);
				assert((v - 1) % EVENTS >= want[r * PRODS + (v - 1) / EVENTS]);
				want[r * PRODS + (v - 1) / EVENTS] = (v - 1) % EVENTS + 1;
				if
				:: seen[at] == 0 -> seen[at] = v
				:: else -> assert(seen[at] == v)
				fi;
				count[r]++;
				v = 0
			}
		fi;
		d_step { i++; at++ }
	od
}

init {
	byte p, first, second;
	atomic {
		used[1] = true;
		do
		:: p < PRODS -> run Producer(p); p++
		:: else -> break
		od;
		run Reader(0);
		run Reader(1)
	};
	timeout ->                              /* quiet: nobody can take another step */
	atomic {
		p = 0;
		do
		:: p < SLOTS ->
			first = first + accepted[p];
			second = second + (accepted[p] && p >= start);
			p++
		:: else -> break
		od;
		assert(count[0] == first);
		assert(count[1] == second)
	}
}
