/*
 * join.pml: cursors come and go while producers are under way.
 *
 * Claims: an accepted event is read by at least one cursor, also when the last
 * cursor detaches or the first subscribes in the middle of the publication; a
 * cursor reads exactly the accepted events from its start to its end; capacity
 * holds for a newcomer; the sweeper never touches a slot that a producer has
 * claimed and not settled.
 *
 * Cursor 0 is there from the start, without a bound; cursor 1 subscribes, with
 * capacity 1, before, while or after cursor 0 leaves. Publishers that find no
 * room give up (waiting is gate.pml). The sweep is one step (clear.pml).
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#define CAP1 1
#define SLOTS (PRODS * EVENTS)
#define NOLIMIT 99

#define EMPTY 0
#define READY 1
#define TOMB  2

byte claim;
byte slot[SLOTS + 1];
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

inline Refresh() {
	fresh = NOLIMIT;
	d_step {
		if
		:: !attached[0] && !attached[1] ->
			fresh = 0;
			if
			:: leaving[0] -> fresh = end[0]
			:: else
			fi;
			if
			:: leaving[1] && end[1] > fresh -> fresh = end[1]
			:: else
			fi
		:: else
		fi
	};
	d_step {
		if
		:: attached[1] && place[1] + CAP1 < fresh -> fresh = place[1] + CAP1
		:: else
		fi
	};
	limit = fresh;
	d_step { soft = (attached[0] || attached[1] -> fresh : 0); fresh = 0 }
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

inline Accept() {
	accepted[i] = true;
	if
	:: attached[1] && i >= start[1] -> unread++; assert(unread <= CAP1)
	:: else
	fi
}

proctype Producer() {
	byte i, k;
	bool claimed;
	do
	:: k < EVENTS ->
		if
		:: soft != 0 ->
			d_step { i = claim; claim++ };                                  /* P1 */
			claimed = true;
			if
			:: atomic { i < soft -> Accept(); goto fill }                   /* P2 */
			:: else
			fi
		:: true ->
slow:
			i = claim;
			if
			:: soft != 0 && i < limit
			:: else ->
				Lock();
				if
				:: !attached[0] && !attached[1] -> Unlock(); goto out       /* ErrNoSubscriber */
				:: else
				fi;
				Refresh();
				if
				:: i < limit -> Unlock()
				:: else -> Unlock(); goto out                               /* full */
				fi
			fi;
			if
			:: atomic { claim == i -> claim++ }                             /* P1 */
			:: atomic { claim != i -> i = 0 }; goto slow
			fi;
			claimed = true;
#ifdef MUTANT_CLAIMED_WITHOUT_LOOK
			atomic { Accept(); goto fill }
#endif
		fi;
		if
		:: atomic { i < limit -> Accept(); goto fill }                      /* P2 */
		:: else
		fi;
		Lock();
		Refresh();
		if
		:: atomic { i < limit -> Accept(); mu = false; goto fill }
		:: else -> Unlock(); goto out
		fi;
fill:
		atomic { assert(!zeroed[i]); slot[i] = READY };                     /* P3 P4 */
		claimed = false;
out:
		if
		:: claimed -> slot[i] = TOMB
		:: else
		fi;
		atomic { k++; i = 0; claimed = false }
	:: else -> break
	od
}

/* A cursor and its consumer, from Subscribe to Close. */
proctype Cursor(byte c) {
	byte low;
	if
	:: c == 1 ->                                                            /* Subscribe */
		Lock();
#ifndef MUTANT_SUBSCRIBE_KEEPS_LIMIT
		soft = 0;
		limit = 0;
#endif
		if
#ifndef MUTANT_FIRST_STARTS_AT_HEAD
		:: !attached[0] -> start[1] = rest  /* whoever claimed since then is refused, or ours */
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
			low = 0
		};
		Refresh();
		Unlock();
		Sweep()
	:: else
	fi;
	do
	:: slot[place[c]] != EMPTY && place[c] < end[c] ->                      /* C1 C2 C3 */
		atomic {
			low = place[c];
			if
			:: slot[low] == READY ->
				assert(!zeroed[low]);
				assert(accepted[low]);
				readers[low]++;
				if
				:: c == 1 && attached[1] -> unread--
				:: else
				fi
			:: else
			fi;
			low = 0;
			place[c]++
		};
		Sweep()
	:: atomic { attached[c] -> skip };                                      /* Detach */
		Lock();
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
		Refresh();
		Unlock()
#ifdef MUTANT_CLOSE_UNDRAINED
	:: leaving[c] ->
#else
	:: leaving[c] && place[c] >= end[c] ->                                  /* Drained, Close */
#endif
		Lock();
		leaving[c] = false;
		Refresh();
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
		:: p < PRODS -> run Producer(); p++
		:: else -> break
		od;
		run Cursor(0);
		run Cursor(1)
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
