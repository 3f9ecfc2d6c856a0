/*
 * join.pml: cursors come and go while producers are under way.
 *
 * Claims: an accepted event is read by at least one cursor, also when the last
 * cursor detaches or the first subscribes in the middle of a batch; a cursor reads
 * exactly the accepted events from its start to its end, although it looks for a
 * run of them at a time; capacity holds for a newcomer; the sweeper never touches
 * a slot that a producer has claimed and not settled.
 *
 * Cursor 0 is there from the start, without a bound; cursor 1 subscribes, with
 * capacity 1, before, while or after cursor 0 leaves. A publication is a batch of
 * any size. Publishers that find no room give up (waiting is gate.pml). The sweep
 * is one step (clear.pml).
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
#define CAP1 1
#define SLOTS (EVENTS + (PRODS - 1) * OTHERS)
#define NOLIMIT 99

#define EMPTY 0
#define READY 1
#define TOMB  2

byte claim;
byte slot[SLOTS + 2];
bool zeroed[SLOTS];
byte soft = NOLIMIT, limit = NOLIMIT;
byte place[2];

bool mu;                                    /* guards what follows */
bool attached[2], leaving[2];
byte start[2];
byte end[2];                                /* atomic: read without mu */
byte rest;                                  /* where the last attached cursor ended: Log.rest */
byte swept;
byte fresh;

bool accepted[SLOTS];                       /* ghost */
byte readers[SLOTS];                        /* ghost */
byte unread;                                /* ghost: accepted for cursor 1 and not read */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

inline SetLimit() {
	limit = fresh;
	d_step { soft = (attached[0] || attached[1] -> fresh : 0); fresh = 0 }
}

/* Log.refresh. Who detaches last leaves a limit for what was claimed before. */
inline Refresh() {
	fresh = (attached[0] || attached[1] -> NOLIMIT : rest);
	d_step {
		if
		:: attached[1] && place[1] + CAP1 < fresh -> fresh = place[1] + CAP1
		:: else
		fi
	};
	SetLimit()
}

/* Clears what every cursor has passed. A producer that is between its claim and P4 would write to the slot, too. */
inline Sweep() {
	atomic {
		low = NOLIMIT;
		if
		:: attached[0] || leaving[0] -> low = place[0]
		:: else
		fi;
		if
		:: (attached[1] || leaving[1]) && place[1] < low -> low = place[1]
		:: else
		fi;
		if
		:: low == NOLIMIT -> low = rest     /* nobody left: what the last ones read is passed */
		:: else
		fi;
		do
		:: swept < low ->
			assert(slot[swept] != EMPTY);                                   /* Z1 */
			assert(!accepted[swept] || readers[swept] > 0);
			zeroed[swept] = true;
			swept++
		:: else -> break
		od;
		low = 0
	}
}

inline Accept(to) {
	q = i;
	do
	:: q < to ->
		accepted[q] = true;
		if
		:: attached[1] && q >= start[1] -> unread++; assert(unread <= CAP1)
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0
}

proctype Producer(byte events) {
	byte i, n, k, q;                        /* n slots from i on are claimed and not settled */
	do
	:: k < events ->
		if
		:: atomic { claim < soft -> i = claim; n = 1;
			do
			:: n < events - k && i + n < soft -> n++                        /* AppendBatch */
			:: break
			od };
			if
			:: atomic { claim == i -> claim = i + n }                       /* P1 */
			:: atomic { claim != i -> i = 0; n = 0; goto next }
			fi;
			if
			:: atomic { i + n <= soft -> Accept(i + n); goto fill }         /* P2 */
			:: else -> goto settle
			fi
		:: true ->
slow:
			i = claim;
			if
			:: soft != 0 && i < limit
			:: else ->
				Lock();
				if
				:: !attached[0] && !attached[1] -> Unlock(); k++; goto next /* ErrNoSubscriber */
				:: else
				fi;
				Refresh();
				if
				:: i < limit -> Unlock()
				:: else -> Unlock(); k++; goto next                         /* full */
				fi
			fi;
			if
			:: atomic { claim == i -> claim++; n = 1 }                      /* P1 */
			:: atomic { claim != i -> i = 0 }; goto slow
			fi
#ifdef MUTANT_CLAIMED_WITHOUT_LOOK
			;
			atomic { Accept(i + 1); goto fill }
#endif
		fi;
settle:
		do
		:: n > 0 ->
			if
			:: atomic { i < limit -> Accept(i + 1) }                        /* P2 */
			:: else ->
				Lock();
				Refresh();
				if
				:: atomic { i < limit -> Accept(i + 1); mu = false }
				:: else -> Unlock(); break
				fi
			fi;
			atomic { assert(!zeroed[i]); slot[i] = READY; i++; n--; k++ }   /* P3 P4 */
		:: else -> break
		od;
		do
		:: n > 0 -> slot[i] = TOMB; atomic { i++; n--; k++ }                /* bury: the first one was refused */
		:: else -> goto next
		od;
fill:
		do
		:: n > 0 -> atomic { assert(!zeroed[i]); slot[i] = READY; i++; n--; k++ } /* P3 P4 */
		:: else -> break
		od;
next:
		i = 0
	:: else -> break
	od
}

/* Cursor.Detach, at some time, by whoever wants. */
proctype Detacher(byte c) {
	attached[c];
	Lock();
	fresh = limit;
#ifndef MUTANT_DETACH_KEEPS_LIMIT
	soft = 0;
	limit = 0;
#endif
	end[c] = claim;
	atomic {
		attached[c] = false; leaving[c] = true; unread = (c == 1 -> 0 : unread);
		if
		:: !attached[1 - c] -> rest = end[c]
		:: else
		fi
	};
	if
	:: attached[1 - c] -> SetLimit()
	:: true -> Refresh()                /* if somebody waited, or it was the full one */
	fi;
	Unlock()
}

/* A cursor and its consumer, from Subscribe to Close. */
proctype Cursor(byte c) {
	byte low, n;
	if
	:: c == 1 ->                                                            /* Subscribe */
		Lock();
		fresh = limit;
#ifndef MUTANT_SUBSCRIBE_KEEPS_LIMIT
		soft = 0;
		limit = 0;
#endif
		if
#ifndef MUTANT_FIRST_STARTS_AT_HEAD
		:: !attached[0] -> start[1] = rest; fresh = NOLIMIT /* whoever claimed since then is refused, or ours */
#endif
		:: else -> start[1] = claim
		fi;
		atomic {
			place[1] = start[1];
			attached[1] = true;
			low = start[1];
			do
			:: low < SLOTS -> unread = unread + accepted[low]; low++
			:: else -> break
			od;
			assert(unread <= CAP1);
			low = 0;
			fresh = (start[1] + CAP1 < fresh -> start[1] + CAP1 : fresh)
		};
		SetLimit();
		Unlock();
		Sweep()
	:: else
	fi;
	do
	:: slot[place[c]] != EMPTY && place[c] < end[c] ->                      /* Ready */
#ifdef MUTANT_END_BEFORE_STATES
		low = end[c] - place[c];
#endif
		n = (slot[place[c]] == READY);                                      /* C1 */
		if
		:: n == 1 -> n = n + (slot[place[c] + 1] == READY)                  /* C1 */
		:: else
		fi;
#ifndef MUTANT_END_BEFORE_STATES
		low = end[c] - place[c];
#endif
		atomic {
			n = (low < n -> low : n);
			if
			:: n == 0 -> place[c]++                                         /* a tombstone */
			:: else
			fi;
			do
			:: n > 0 ->
				low = place[c];
				assert(!zeroed[low]);                                       /* C2 */
				assert(accepted[low]);
				readers[low]++;
				if
				:: c == 1 && attached[1] -> unread--
				:: else
				fi;
				place[c]++;                                                 /* C3 */
				n--
			:: else -> break
			od;
			low = 0
		};
		Sweep()
#ifdef MUTANT_CLOSE_UNDRAINED
	:: leaving[c] ->
#else
	:: leaving[c] && place[c] >= end[c] ->                                  /* Drained, Close */
#endif
		Lock();
		leaving[c] = false;
		Sweep();
		Unlock();
		break
	od
}

init {
	byte p;
	atomic {
		attached[0] = true; end[0] = NOLIMIT; end[1] = NOLIMIT;
		do
		:: p < PRODS -> run Producer((p == 0 -> EVENTS : OTHERS)); p++
		:: else -> break
		od;
		run Cursor(0);
		run Cursor(1);
		run Detacher(0);
		run Detacher(1)
	};
	timeout ->                              /* quiet: nobody can take another step */
	atomic {
		p = 0;
		do
		:: p < SLOTS ->
			assert(readers[p] == accepted[p] * ((p < end[0]) + (p >= start[1] && p < end[1])));
			assert(!accepted[p] || readers[p] > 0);
			p++
		:: else -> break
		od;
		assert(swept >= rest)
	}
}
