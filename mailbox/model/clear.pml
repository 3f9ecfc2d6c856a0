/*
 * clear.pml: a slot is cleared once every cursor has passed it, and not before.
 *
 * Claims: no cursor finds a cleared slot, neither when it takes an event nor
 * when it looks again at the one in hand; two sweepers never work at once; when
 * everything is quiet, all that every cursor has passed is cleared, or swept up to
 * the end of a segment if there is nothing to clear, although only the watched
 * cursor sweeps, and only once it has come to where that is due.
 *
 * Cursors 0 and 1 are there from the start and cursor 2 subscribes at some
 * time; LEAVERS of them detach at some time and are closed when drained. One
 * producer publishes; there is always room (gate.pml), and the next segment is
 * always linked (recycle.pml). Events from META on hold something that must be
 * let go: before it claims a slot for the first of them, the producer makes the
 * log clear.
 */
#ifndef EVENTS
#define EVENTS 3
#endif
#ifndef CURSORS
#define CURSORS 3
#endif
#ifndef LEAVERS
#define LEAVERS 1                           /* cursors 0 .. LEAVERS-1 may leave */
#endif
#ifndef META
#define META 0                              /* 0: the log clears from the start; EVENTS: never */
#endif
#define SEG 2                               /* slots in a segment */
#define NONE 9
#define NOLIMIT 99

byte claim;
bool ready[EVENTS + 1];
bool value[EVENTS + 1];                     /* the payload is there */
byte kept[CURSORS];                         /* atomic: the first position whose event must stay */
byte watch = NONE;                          /* atomic */
byte due;                                   /* atomic: written under sweepMu */
bool limited;                               /* atomic: limit is 0 until the newcomer is part of it */

bool mu;                                    /* guards who is attached */
byte attached;
bool sweepMu;                               /* guards what follows */
bool clears;                                /* atomic: read without sweepMu */
byte reading[CURSORS], readers;             /* attached and leaving: a set */
byte sweepAt;
byte sweepEnd;                              /* what nobody reads any more, while there is no cursor */
byte swept;

byte passed[CURSORS];                       /* ghost: what the consumer has let go */
bool joined[CURSORS];                       /* ghost */
bool sweeping;                              /* ghost */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

inline SetDue() {
	due = (clears -> swept + 1 : (swept / SEG + 1) * SEG)
}

/* Log.clearTo */
inline ClearTo() {
	do
	:: swept < low ->
		if
		:: clears -> value[swept] = false                                   /* Z1 */
		:: else
		fi;
		swept++
	:: else -> break
	od;
	SetDue()
}

/* Log.sweep */
inline Sweep() {
#ifdef MUTANT_SWEEP_UNLOCKED
	skip;
#else
	atomic { !sweepMu -> sweepMu = true };
#endif
	atomic { assert(!sweeping); sweeping = true };
	do
	:: sweepAt < readers ->
		if
		:: kept[reading[sweepAt]] >= due -> sweepAt++
		:: else ->
			watch = reading[sweepAt];                                       /* D1 */
#ifdef MUTANT_APPOINT_WITHOUT_LOOK
			break
#else
			if
			:: kept[reading[sweepAt]] < due -> break                        /* D2 */
			:: else
			fi
#endif
		fi
	:: else ->
		watch = (readers == 0 -> NONE : watch);
#ifdef MUTANT_REST_NOT_SWEPT
		low = (readers == 0 -> 0 : NOLIMIT);
#else
		low = (readers == 0 -> sweepEnd : NOLIMIT);
#endif
		q = 0;
		do
		:: q < readers ->
			d_step {
				if
				:: kept[reading[q]] < low -> low = kept[reading[q]]
				:: else
				fi;
				q++
			}
		:: else -> break
		od;
#ifdef MUTANT_CLEAR_TO_OWN
		low = (c < CURSORS -> kept[c] : low);
#endif
		ClearTo();
		if
		:: readers == 0 -> break
		:: else -> sweepAt = 0
		fi
	od;
	atomic { sweeping = false; sweepMu = false; low = 0; q = 0 }
}

/* set.remove */
inline Remove() {
	atomic { !sweepMu ->
		q = 0;
		do
		:: reading[q] != c -> q++
		:: else -> break
		od;
		readers--;
		reading[q] = reading[readers];
		reading[readers] = 0;
		sweepAt = (q < sweepAt -> q : sweepAt);
		q = 0
	}
}

inline Publish(at) {
#ifdef MUTANT_PUBLISH_AFTER_WATCH
	q = watch;
	kept[c] = at;
	if
	:: q == c -> q = 0; Sweep()
	:: else -> q = 0
	fi
#else
	kept[c] = at;                                                           /* C3 */
	if
	:: watch == c ->                                                        /* Cursor.letGo */
		if
		:: kept[c] >= due -> Sweep()
		:: else
		fi
	:: else
	fi
#endif
}

/* Log.startClearing */
inline StartClearing() {
	atomic { !sweepMu -> sweepMu = true };
	clears = true;
#ifndef MUTANT_DUE_NOT_LOWERED
	SetDue();
#endif
	sweepMu = false;
	Sweep()
}

proctype Producer() {
	byte c = NONE, low, q;
	do
	:: claim < EVENTS ->
#ifndef MUTANT_START_AFTER_CLAIM
		if
		:: claim == META && !clears -> StartClearing()
		:: else
		fi;
#endif
		claim++;                                                            /* P1 */
		if
		:: limited -> Lock(); Unlock()                                      /* P2 */
		:: else
		fi;
		value[claim - 1] = claim > META;                                    /* P3 */
		ready[claim - 1] = true;                                            /* P4 */
#ifdef MUTANT_START_AFTER_CLAIM
		if
		:: claim == META + 1 && !clears -> StartClearing()
		:: else
		fi
#endif
	:: else -> break
	od
}

/* A cursor and its consumer, from Subscribe to Close. */
proctype Cursor(byte c) {
	byte rd, end = NOLIMIT, low, q;
	bool leaver;
	if
	:: c < LEAVERS -> leaver = true
	:: leaver = false
	fi;
	if
	:: c == 2 ->                                                            /* Subscribe */
		Lock();
		limited = true;
		atomic { rd = claim; passed[c] = rd; joined[c] = true; kept[c] = rd; attached++ };
#ifdef MUTANT_ADDED_AFTER_LIMIT
		limited = false;
		atomic { !sweepMu -> reading[readers] = c; readers++ };
#else
		atomic { !sweepMu -> reading[readers] = c; readers++ };
		limited = false;                                                    /* setLimit */
#endif
		Unlock();
		Sweep()
	:: else
	fi;
end_idle:
	do
	:: rd < end && ready[rd] ->                                             /* C1 */
		assert(value[rd] || rd < META);                                     /* C2 */
		rd++;
		if
#ifdef MUTANT_IN_HAND_LET_GO
		:: Publish(rd)
#else
		:: Publish(rd - 1)                  /* with the event in hand */
#endif
		:: true                             /* not every event publishes */
		fi;
		assert(value[rd - 1] || rd <= META); /* a retry looks at it again */
		passed[c] = rd;
		if
		:: rd < end && ready[rd]            /* the batch goes on */
		:: Publish(rd)
		fi
	:: leaver ->                                                            /* Detach */
		leaver = false;
		Lock();
		atomic { end = claim; attached-- };
		if
		:: attached == 0 -> atomic { !sweepMu -> sweepEnd = end }
		:: else
		fi;
		Unlock()
	:: rd == end ->                                                         /* Close */
		Lock();
		joined[c] = false;
		Remove();
		Unlock();
#ifndef MUTANT_CLOSE_WITHOUT_SWEEP
		Sweep();
#endif
		break
	od
}

init {
	byte c, low = NOLIMIT;
	atomic {
		do
		:: c < 2 -> reading[c] = c; joined[c] = true; c++
		:: else -> break
		od;
		readers = 2; attached = 2;
		watch = 0; clears = META == 0; SetDue();
		run Producer();
		c = 0;
		do
		:: c < CURSORS -> run Cursor(c); c++
		:: else -> break
		od
	};
	timeout ->                              /* quiet: nobody can take another step */
	atomic {
		c = 0;
		do
		:: c < CURSORS ->
			if
			:: joined[c] && passed[c] < low -> low = passed[c]
			:: else
			fi;
			c++
		:: else -> break
		od;
		assert(low != NOLIMIT || watch == NONE);
		low = (low == NOLIMIT -> sweepEnd : low);
		assert(swept >= (clears -> low : low / SEG * SEG));
		c = 0;
		do
		:: c < EVENTS && c < low -> assert(!value[c]); c++
		:: else -> break
		od
	}
}
