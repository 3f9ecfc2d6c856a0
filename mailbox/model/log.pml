/*
 * log.pml: claim slots, fill them, hand them to the readers; link the next segment;
 * find the head of the log while all that goes on.
 *
 * Claims: every reader sees every accepted event from its start on, once, the
 * events of one producer in the order they were published, and all readers see
 * one order. A newcomer's start is not below a claim made before it spoke up,
 * so whoever claims from its start on reads the limit after it was lowered; nor is
 * it in the middle of a batch, of which one store hands over all slots: nobody
 * looks at one of them before.
 *
 * A producer claims as many slots as it likes, and may give up after that: then
 * each slot is brought to its end by itself, and from some one on they are
 * tombstones. Readers are always awake here (wake.pml), there is always room
 * (gate.pml), nothing is cleared (clear.pml).
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef OTHERS
#define OTHERS EVENTS                       /* events of each producer but the first */
#endif
#ifndef NEWCOMER
#define NEWCOMER 1                          /* reader 1 subscribes at some time; else it is there from the start */
#endif
#define READERS 2
#define SEG 2                               /* slots in a segment */
#define SLOTS (EVENTS + (PRODS - 1) * OTHERS)
#define SEGS ((SLOTS + 1) / SEG + PRODS)          /* linked ones, and one in each producer's hand */
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
byte stands[READERS];                       /* ghost: the position of a reader */
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

inline Claimed(upTo) {
	assert(upTo <= SEG);
	assert(!joined || seg[s].base + i >= start);
	if
	:: !lowered && seg[s].base + upTo > before -> before = seg[s].base + upTo
	:: else
	fi;
	seg[s].claim = upTo
}

proctype Producer(byte id; byte events) {
	byte s, n, i, k, j;                     /* n slots from i on are claimed and not settled */
	do
	:: k < events ->
again:
		s = tail;
		i = seg[s].claim;
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
		atomic {
			n = 1;
			do
#ifndef MUTANT_BATCH_BEYOND_SEGMENT
			:: n < events - k && i + n < SEG -> n++
#else
			:: n < events - k -> n++
#endif
			:: break
			od
		};
#ifdef MUTANT_NONATOMIC_CLAIM
		d_step { Claimed(i + n) };
#else
#ifdef MUTANT_BATCH_IN_TWO_CLAIMS
		if
		:: n > 1 && seg[s].claim == i -> d_step { Claimed(i + 1) }
		:: else
		fi;
		if
		:: atomic { seg[s].claim == i || n > 1 && seg[s].claim == i + 1 -> Claimed(i + n) }
#else
		if
		:: atomic { seg[s].claim == i -> Claimed(i + n) }                   /* P1 */
#endif
		:: else -> d_step { s = 0; n = 0; i = 0 }; goto again
		fi;
#endif
		if
		:: true ->                                                          /* fill */
#ifdef MUTANT_READY_BEFORE_VALUE
			d_step { seg[s].state[i] = READY; accepted[seg[s].base + i] = true };
#endif
			j = 0;
			do
			:: j < n ->
				seg[s].value[i + j] = id * EVENTS + k + j + 1;              /* P3 */
				if
				:: j > 0 ->
					d_step {
						seg[s].state[i + j] = READY; accepted[seg[s].base + i + j] = true;
						assert(stands[0] != seg[s].base + i + j);           /* a plain write */
						assert(stands[1] != seg[s].base + i + j)
					}
				:: else
#ifdef MUTANT_FIRST_READY_FIRST
					-> d_step { seg[s].state[i] = READY; accepted[seg[s].base + i] = true }
#endif
				fi;
				j++
			:: else -> break
			od;
			atomic {
				seg[s].state[i] = READY; accepted[seg[s].base + i] = true;  /* P4 */
				k = k + n; s = 0; n = 0; i = 0; j = 0
			}
		:: true ->                                                          /* settle each, or bury */
			do
			:: n > 0 && j == 0 ->
				seg[s].value[i] = id * EVENTS + k + 1;                      /* P3 */
				d_step { seg[s].state[i] = READY; accepted[seg[s].base + i] = true; i++; n--; k++ } /* P4 */
			:: n > 0 ->
				j = 1;
				d_step { seg[s].state[i] = TOMB; i++; n--; k++ }
			:: n == 0 -> break
			od;
			atomic { s = 0; i = 0; j = 0 }
		fi
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
			at = seg[s].base + i;
			start = at;
			stands[1] = at;
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
		d_step { i++; at++; stands[r] = at }
	od
}

init {
	byte p, first, second;
	atomic {
		used[1] = true;
		stands[1] = (NEWCOMER -> 255 : 0);
		do
		:: p < PRODS -> run Producer(p, (p == 0 -> EVENTS : OTHERS)); p++
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
