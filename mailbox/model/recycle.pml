/*
 * recycle.pml: the slots of a segment are used again once every cursor has left it.
 *
 * Claims: nobody reads or writes slots through a segment that does not own them
 * any more: no producer, no reader, also when it looks again at the event in hand,
 * no sweeper. A reader finds at each position the event that was published there.
 * When everything is quiet, the slots of each segment that every cursor has left
 * and gone on from have been taken back.
 *
 * Segments, which are never used again themselves, are numbers: segment s holds
 * the positions from s * SEG on, arr[s] are its slots. A producer takes slots from
 * the pool if there are any, makes them empty, and links them behind the last
 * segment, or loses that race and leaves them for the next one. Cursor 0 stays;
 * cursor 1 is there or subscribes at some time, and is closed or not. All positions
 * are accepted (join.pml); who sweeps, and when it is due, is clear.pml's.
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
#ifndef SEG
#define SEG 1                               /* slots in a segment */
#endif
#ifndef NEWCOMER
#define NEWCOMER 1                          /* cursor 1 subscribes at some time; else it is there */
#endif
#ifndef LEAVES
#define LEAVES 1                            /* cursor 1 may leave */
#endif
#ifndef CLEARS
#define CLEARS 0                            /* passed slots are cleared */
#endif
#define TOTAL (EVENTS + (PRODS - 1) * OTHERS)
#define SEGS (TOTAL / SEG + 2)
#define ARRS (SEGS + PRODS)
#define NONE 99
#define HAND 98                             /* in the hand of a producer who makes a segment */

byte claim[SEGS];
byte tail;
bool linked[SEGS];                          /* the segment behind it is linked */
byte arr[SEGS];                             /* Segment.slots */
byte spare = NONE;
bool pooled[ARRS];
byte made = 1;                              /* so many arrays have been made */

bool ready[ARRS * SEG];
byte value[ARRS * SEG];

byte kept[2];                               /* atomic: the first position whose event must stay */
byte watch = NONE;                          /* atomic */
byte due;                                   /* atomic: written under sweepMu */
bool limited;                               /* atomic: limit is 0 until the newcomer is part of it */

bool mu;                                    /* guards Subscribe */
bool sweepMu;                               /* guards what follows */
bool reading[2];
byte sweepAt;
byte swept;
byte sweepSeg;

byte owner[ARRS];                           /* ghost: the segment whose slots these are */
byte rs[2], ri[2];                          /* where the readers stand */
bool stands[2];                             /* ghost */

#define Slot(s, i) (arr[s] * SEG + (i))

inline Own(s) { assert(owner[arr[s]] == s) }

/* Log.clearTo */
inline ClearTo() {
	do
	:: swept < low ->
		q = (low < (sweepSeg + 1) * SEG -> low : (sweepSeg + 1) * SEG);
#ifdef MUTANT_RECYCLE_BEFORE_CLEARING
		if
		:: q == (sweepSeg + 1) * SEG && linked[sweepSeg] -> Put()
		:: else
		fi;
#endif
		do
		:: CLEARS && swept < q ->
			atomic { Own(sweepSeg); value[Slot(sweepSeg, swept % SEG)] = 0; swept++ } /* Z1 */
		:: else -> break
		od;
		swept = q;
		if
		:: q < (sweepSeg + 1) * SEG
#ifdef MUTANT_RECYCLE_BEFORE_LINK
		:: q == (sweepSeg + 1) * SEG ->
			Put();                                                          /* Z2 */
			if
			:: linked[sweepSeg] -> sweepSeg++
			:: else -> break
			fi
#else
		:: q == (sweepSeg + 1) * SEG && !linked[sweepSeg] -> break
		:: q == (sweepSeg + 1) * SEG && linked[sweepSeg] ->
#ifndef MUTANT_RECYCLE_BEFORE_CLEARING
			Put();                                                          /* Z2 */
#endif
			sweepSeg++
#endif
		fi
	:: else -> break
	od;
	due = (CLEARS || swept == (sweepSeg + 1) * SEG -> swept + 1 : (sweepSeg + 1) * SEG)
}

inline Put() {
	atomic {
		Own(sweepSeg);
		assert(!(stands[0] && rs[0] == sweepSeg && ri[0] < SEG));   /* it may look at its next slot */
		assert(!(stands[1] && rs[1] == sweepSeg && ri[1] < SEG));
		owner[arr[sweepSeg]] = NONE;
		pooled[arr[sweepSeg]] = true
#ifdef MUTANT_SEGMENT_USED_AGAIN
		;
		claim[sweepSeg] = 0
#endif
	}
}

/* Log.sweep */
inline Sweep() {
	atomic { !sweepMu -> sweepMu = true };
	do
	:: sweepAt < 2 ->
		if
		:: !reading[sweepAt] || kept[sweepAt] >= due -> sweepAt++
		:: else ->
			watch = sweepAt;                                                /* D1 */
#ifdef MUTANT_APPOINT_WITHOUT_LOOK
			break
#else
			if
			:: kept[sweepAt] < due -> break                                 /* D2 */
			:: else
			fi
#endif
		fi
	:: else ->
		low = kept[0];
#ifndef MUTANT_RECYCLE_AT_THE_FIRST
		d_step {
			if
			:: reading[1] && kept[1] < low -> low = kept[1]
			:: else
			fi
		};
#endif
		ClearTo();
		sweepAt = 0
	od;
	atomic { sweepMu = false; low = 0; q = 0 }
}

inline Publish(at) {
#ifdef MUTANT_PUBLISH_AFTER_WATCH
	q = watch;
	kept[c] = at;
	if
	:: q == c && kept[c] >= due -> Sweep()
	:: else -> q = 0
	fi
#else
	kept[c] = at;                                                           /* C3 */
	if
	:: watch == c ->
		if
		:: kept[c] >= due -> Sweep()
		:: else
		fi
	:: else
	fi
#endif
}

proctype Producer(byte events) {
	byte s, i, a, k;
	do
	:: k < events ->
again:
		s = tail;
		i = claim[s];
		if
		:: i == SEG ->                                                      /* extend */
			if
			:: !linked[s] ->
				atomic {                                                    /* spare, pool or a new one: each is one step */
					if
					:: spare != NONE -> a = spare; spare = NONE
					:: else ->
						a = 0;
						do
						:: a < ARRS && !pooled[a] -> a++
						:: else -> break
						od;
						if
						:: a < ARRS -> pooled[a] = false
						:: else -> a = made; made++
						fi;
						assert(owner[a] == NONE);
						owner[a] = HAND
					fi
				};
#ifndef MUTANT_NOT_EMPTIED
				atomic {
					i = 0;
					do
					:: i < SEG -> ready[a * SEG + i] = false; value[a * SEG + i] = 0; i++
					:: else -> break
					od
				};
#endif
				atomic {
					if
					:: !linked[s] -> arr[s + 1] = a; owner[a] = s + 1; linked[s] = true
					:: else -> spare = a
					fi;
					a = 0
				}
			:: else
			fi;
			atomic {
				if
				:: tail == s -> tail = s + 1
				:: else
				fi;
				s = 0; i = 0
			};
			goto again
		:: else
		fi;
		if
		:: atomic { claim[s] == i -> claim[s] = i + 1 }                     /* P1 */
		:: atomic { claim[s] != i -> s = 0; i = 0 }; goto again
		fi;
		if
		:: limited -> atomic { !mu -> skip }                                /* P2 */
		:: else
		fi;
		atomic { Own(s); assert(!ready[Slot(s, i)]); value[Slot(s, i)] = s * SEG + i + 1 }; /* P3 */
		atomic { Own(s); ready[Slot(s, i)] = true; k++; s = 0; i = 0 }      /* P4 */
	:: else -> break
	od
}

/* A cursor and its consumer, from Subscribe to Close. */
proctype Cursor(byte c) {
	byte end = NONE, low, q;
	bool leaver;
	if
	:: c == 1 && LEAVES -> leaver = true
	:: true
	fi;
	if
	:: c == 1 && NEWCOMER ->                                                /* Subscribe */
		atomic { !mu -> mu = true };
		limited = true;
		q = tail;
		do
		:: linked[q] -> q++
		:: else -> break
		od;
		atomic { rs[1] = q; ri[1] = claim[q]; kept[1] = q * SEG + ri[1]; stands[1] = true; q = 0 };
#ifdef MUTANT_ADDED_AFTER_LIMIT
		limited = false;
		atomic { mu = false };
		atomic { !sweepMu -> reading[1] = true };
#else
		atomic { !sweepMu -> reading[1] = true };
		limited = false;
		mu = false;
#endif
		Sweep()
	:: else
	fi;
end_idle:
	do
	:: ri[c] == SEG && linked[rs[c]] -> atomic { rs[c]++; ri[c] = 0 }
	:: ri[c] < SEG && rs[c] * SEG + ri[c] < end && ready[Slot(rs[c], ri[c])] -> /* C1 */
		atomic { Own(rs[c]); assert(value[Slot(rs[c], ri[c])] == rs[c] * SEG + ri[c] + 1); ri[c]++ }; /* C2 */
		if
#ifdef MUTANT_IN_HAND_LET_GO
		:: Publish(rs[c] * SEG + ri[c])
#else
		:: Publish(rs[c] * SEG + ri[c] - 1) /* with the event in hand */
#endif
		:: true                             /* not every event publishes */
		fi;
		atomic { Own(rs[c]); assert(value[Slot(rs[c], ri[c] - 1)] == rs[c] * SEG + ri[c]) }; /* a retry looks at it again */
		Publish(rs[c] * SEG + ri[c])
	:: leaver ->                                                            /* Detach */
		leaver = false;
		q = tail;
		do
		:: linked[q] -> q++
		:: else -> break
		od;
		atomic { end = q * SEG + claim[q]; q = 0 }
	:: rs[c] * SEG + ri[c] == end ->                                        /* Drained, Close */
		stands[c] = false;
		atomic { !sweepMu -> reading[c] = false; sweepAt = 0 };
		Sweep();
		break
	od
}

init {
	byte c, low;
	atomic {
		do
		:: c < ARRS -> owner[c] = NONE; c++
		:: else -> break
		od;
		owner[0] = 0;
		reading[0] = true; reading[1] = !NEWCOMER;
		stands[0] = true; stands[1] = !NEWCOMER;
		watch = 0; due = (CLEARS -> 1 : SEG);
		c = 0;
		do
		:: c < PRODS -> run Producer((c == 0 -> EVENTS : OTHERS)); c++
		:: else -> break
		od;
		run Cursor(0);
		run Cursor(1)
	};
	timeout ->                              /* quiet: nobody can take another step */
	atomic {
		assert(kept[0] == TOTAL);
		low = (reading[1] -> kept[1] : kept[0]);
		assert(low <= (sweepSeg + 1) * SEG);
		assert(swept >= (CLEARS -> low : low / SEG * SEG))
	}
}
