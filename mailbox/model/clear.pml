/*
 * clear.pml: a slot is cleared once every cursor has passed it, and not before.
 *
 * Claims: no cursor finds a cleared slot, neither when it takes an event nor
 * when it looks again at the one in hand; two sweepers never work at once; when
 * everything is quiet, all that every cursor has passed is cleared, although
 * only the watched cursor sweeps.
 *
 * Cursors 0 and 1 are there from the start and cursor 2 subscribes at some
 * time; LEAVERS of them detach at some time and are closed when drained. One
 * producer publishes; there is always room (gate.pml).
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
#define NONE 9
#define NOLIMIT 99

byte claim;
bool ready[EVENTS + 1];
bool value[EVENTS + 1];                     /* the payload is there */
byte kept[CURSORS];                         /* atomic: the first position whose event must stay */
byte watch = NONE;                          /* atomic */
bool limited;                               /* atomic: limit is 0 until the newcomer is part of it */

bool mu;                                    /* guards who is attached */
bool sweepMu;                               /* guards what follows */
bool reading[CURSORS];                      /* attached and leaving */
byte sweepAt;
byte swept;

byte passed[CURSORS];                       /* ghost: what the consumer has let go */
bool joined[CURSORS];                       /* ghost */
bool sweeping;                              /* ghost */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

/* Log.sweep */
inline Sweep(low, q) {
#ifdef MUTANT_SWEEP_UNLOCKED
	skip;
#else
	atomic { !sweepMu -> sweepMu = true };
#endif
	atomic { assert(!sweeping); sweeping = true };
	do
	:: sweepAt < CURSORS ->
		if
		:: !reading[sweepAt] || kept[sweepAt] > swept -> sweepAt++
		:: else ->
#ifdef MUTANT_APPOINT_WITHOUT_LOOK
			watch = sweepAt;
			break
#else
			watch = sweepAt;                                                /* D1 */
			if
			:: kept[sweepAt] <= swept -> break                              /* D2 */
			:: else
			fi
#endif
		fi
	:: else ->
		low = NOLIMIT;
		q = 0;
		do
		:: q < CURSORS ->
			d_step {
				if
				:: reading[q] && kept[q] < low -> low = kept[q]
				:: else
				fi;
				q++
			}
		:: else -> break
		od;
		watch = (low == NOLIMIT -> NONE : watch);
#ifdef MUTANT_CLEAR_TO_OWN
		low = kept[c];
#endif
		if
		:: low == NOLIMIT -> break          /* nobody is left */
		:: else
		fi;
		do
		:: swept < low ->
			value[swept] = false;                                           /* Z1 */
			swept++
		:: else -> break
		od;
		sweepAt = 0
	od;
	atomic { sweeping = false; sweepMu = false; low = 0; q = 0 }
}

/* Log.index */
inline Index(is) {
	atomic { !sweepMu -> reading[c] = is; sweepAt = 0 }
}

inline Publish(at) {
#ifdef MUTANT_PUBLISH_AFTER_WATCH
	q = watch;
	kept[c] = at;
	if
	:: q == c -> q = 0; Sweep(low, q)
	:: else -> q = 0
	fi
#else
	kept[c] = at;                                                           /* C3 */
	if
	:: watch == c -> Sweep(low, q)
	:: else
	fi
#endif
}

proctype Producer() {
	do
	:: claim < EVENTS ->
		claim++;                                                            /* P1 */
		if
		:: limited -> Lock(); Unlock()                                      /* P2 */
		:: else
		fi;
		value[claim - 1] = true;                                            /* P3 */
		ready[claim - 1] = true                                             /* P4 */
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
		atomic { rd = claim; passed[c] = rd; joined[c] = true; kept[c] = rd };
#ifdef MUTANT_INDEX_AFTER_REFRESH
		limited = false;
		Index(true);
#else
		Index(true);
		limited = false;                                                    /* refresh */
#endif
		Unlock();
		Sweep(low, q)
	:: else
	fi;
end_idle:
	do
	:: rd < end && ready[rd] ->                                             /* C1 */
		assert(value[rd]);                                                  /* C2 */
		rd++;
		if
#ifdef MUTANT_IN_HAND_LET_GO
		:: Publish(rd)
#else
		:: Publish(rd - 1)                  /* with the event in hand */
#endif
		:: true                             /* not every event publishes */
		fi;
		assert(value[rd - 1]);              /* a retry looks at it again */
		passed[c] = rd;
		if
		:: rd < end && ready[rd]            /* the batch goes on */
		:: Publish(rd)
		fi
	:: leaver ->                                                            /* Detach */
		leaver = false;
		Lock();
		end = claim;
		Unlock()
	:: rd == end ->                                                         /* Close */
		Lock();
		joined[c] = false;
		Index(false);
		Unlock();
#ifndef MUTANT_CLOSE_WITHOUT_SWEEP
		Sweep(low, q);
#endif
		break
	od
}

init {
	byte c, low = NOLIMIT;
	atomic {
		do
		:: c < CURSORS -> reading[c] = c < 2; joined[c] = c < 2; c++
		:: else -> break
		od;
		watch = 0;
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
		c = 0;
		do
		:: c < EVENTS && c < low && low != NOLIMIT -> assert(!value[c]); c++
		:: else -> break
		od
	}
}
