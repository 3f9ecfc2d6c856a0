/*
 * inbox.pml: an inbox between logs and consumers: several feeds, several consumers,
 * a filter that publishers ask, a key, publishers that wait for room.
 *
 * Claims: when everything is quiet no event waits that an idle consumer could take,
 * although handlers may never return, a consumer may be paused, and who rouses
 * somebody may find all of them still awake; no publisher waits for room that what
 * the filter does not want takes up, even if no consumer ever moves again; whoever
 * drains comes to its end; one goroutine owns a consumer.
 *
 * A log has one cursor, the feed, and its list of sleepers is a bit (wake.pml has
 * the list); so is a place in woken. The consumers have the box of wake.pml. The
 * gate is that of gate.pml with one cursor, whose limit only grows, so that nobody
 * claims beyond it; what is under the log's mutex is one step.
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 1
#endif
#ifndef FEEDS
#define FEEDS 1                             /* publisher p publishes to log p % FEEDS */
#endif
#ifndef CONS
#define CONS 2
#endif
#ifndef LOOPS
#define LOOPS 2                             /* goroutines of one consumer alive at once */
#endif
#ifndef DEAF
#define DEAF 0                              /* all handlers never return, from the start */
#endif
#ifndef STUCK
#define STUCK 0                             /* so many handlers may never return */
#endif
#ifndef PAUSED
#define PAUSED 0                            /* so many consumers, the first ones, are paused at some time */
#endif
#ifndef FILTER
#define FILTER 0                            /* each event may be unwanted */
#endif
#ifndef CAP
#define CAP 0                               /* of the feed; 0 is without bound */
#endif
#ifndef KEYED
#define KEYED 0                             /* all events are of one key; 2: holds may be released by another goroutine */
#endif
#ifndef INJECT
#define INJECT 0                            /* so many events are injected */
#endif
#ifndef JOIN
#define JOIN 0                              /* the last feed comes late */
#endif
#ifndef DRAIN
#define DRAIN 0                             /* the inbox is detached at some time */
#endif
#define MAXHELP 1
#define SLOTS (PRODS * EVENTS)
#define ALL ((1 << CONS) - 1)

#define EMPTY  0
#define WANTED 1
#define OTHER  2

#define IDLE    0
#define DORMANT 1
#define RUNNING 2

byte claim[FEEDS];
byte slot[FEEDS * (SLOTS + 1)];
#define Slot(f) (slot[(f) * (SLOTS + 1) + pos[f]] != EMPTY && !(leaving && pos[f] >= end))
bool parked[FEEDS], list[FEEDS];            /* Cursor.parked; on the log's list of sleepers */
bool pushed[FEEDS];
byte woken;                                 /* bit f: feed f is there */
byte place;                                 /* of feed 0: absorbed, and out of the inbox */
#define Limit (place + CAP)
bool leaving;                               /* detached */
byte end;

bool mu;                                    /* Inbox.mu guards what follows */
byte pos[FEEDS];
bool dirty[FEEDS];
byte turns, behind;                         /* events whose turn it is; behind others of the key */
byte inside;                                /* of feed 0, both */
bool busy;                                  /* the key */

byte state[CONS], started[CONS], alive[CONS];
bool sig[CONS], paused[CONS], owned[CONS];
byte stuck, left, stopped;                  /* bits: handler never returns; has drained; is paused for good */
byte holds;                                 /* in the hands of the holder */

byte waiting, queued, queue[4], hungry;
bool whungry[PRODS], wready[PRODS];

byte total, taken;                          /* ghost: wanted events published and handed out */
byte done;                                  /* ghost: publishers that have ended */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

/* Cursor.Sleep */
inline Park(f) {
	if
	:: atomic { !parked[f] -> parked[f] = true }; list[f] = true            /* B1 */
	:: atomic { parked[f] -> skip }
	fi
}

inline Push(f) {
	if
	:: atomic { !pushed[f] -> pushed[f] = true };
		atomic { assert(!(woken >> f & 1)); woken = woken | 1 << f }        /* B3: a link is on the list once */
	:: atomic { pushed[f] -> skip }
	fi
}

/* Wakes the first one that is idle. */
inline Rouse() {
	k = 0;
	do
	:: k < CONS ->
		if
		:: atomic { state[k] == IDLE -> state[k] = RUNNING; started[k]++ }; break
		:: atomic { state[k] != IDLE -> k++ }
		fi
	:: else -> break
	od;
	k = 0
}

inline Signal(c) {
	sig[c] = true;
	d_step {
		if
		:: state[c] != RUNNING -> state[c] = RUNNING; started[c]++
		:: else
		fi
	}
}

inline PushAndRouse(f) {
#ifdef MUTANT_ROUSE_BEFORE_PUSH
	Rouse();
	Push(f)
#else
	Push(f);
#ifndef MUTANT_PUSH_WITHOUT_ROUSE
	Rouse()                                                                 /* B4 */
#endif
#endif
}

/* Leaves in gathered which feeds were woken. */
inline Gather() {
#ifdef MUTANT_CLEARED_BEFORE_GATHERING
	d_step { f = 0; do :: f < FEEDS -> pushed[f] = false; f++ :: else -> break od; f = 0 };
#endif
	d_step { gathered = woken; woken = 0 };
	if
	:: gathered ->
		do
		:: d_step { f < FEEDS ->
			if
			:: gathered >> f & 1 ->
#if !defined(MUTANT_PUSHED_NOT_CLEARED) && !defined(MUTANT_CLEARED_BEFORE_GATHERING)
				pushed[f] = false;
#endif
				dirty[f] = true
			:: else
			fi;
			f++ }
		:: else -> break
		od;
		f = 0
	:: else
	fi
}

inline Line() {
	if
	:: KEYED && (busy || turns > 0) -> behind++
	:: else -> turns++
	fi
}

inline Absorb(f) {
	do
	:: d_step { Slot(f) ->
		if
		:: slot[f * (SLOTS + 1) + pos[f]] == WANTED -> Line();
			inside = inside + (f == 0)
		:: else
		fi;
		pos[f]++ }
	:: else -> break
	od;
#ifndef MUTANT_ABSORBED_NOT_PUBLISHED
	place = pos[0] - inside;                                                /* C3 */
#endif
	assert(!CAP || inside <= CAP)
}

inline Release() {
	busy = false;
	if
#ifndef MUTANT_RELEASE_WITHOUT_NEXT
	:: behind > 0 -> behind--; turns++
#endif
	:: else
	fi
}

/* Inbox.ready */
inline Ready() {
	atomic { !mu -> mu = true; found = turns > 0 };
	if
	:: found
	:: else ->
		Gather();
		do
		:: f < FEEDS ->
			if
			:: dirty[f] ->
#ifndef MUTANT_GATHERED_NOT_PARKED
				if
				:: gathered -> Park(f)                                      /* B1 */
				:: else
				fi;
#endif
				if
				:: Slot(f) -> found = true; break                           /* B2 */
				:: else
				fi
			:: else
			fi;
			f++
		:: else -> break
		od
	fi;
	atomic { f = 0; gathered = 0; mu = false }
}

/* Inbox.drained */
inline Drained() {
	Lock();
	Absorb(0);
	over = leaving && pos[0] >= end && turns + behind == 0;
	Unlock()
}

/* Log.wakeForRoom, and what comes before it */
inline Refresh() {
	atomic {
		k = 0; x = 0;
		do
		:: k < queued ->
			if
			:: claim[0] + k < Limit -> wready[queue[k]] = true; waiting--
			:: else -> queue[x] = queue[k]; x++
			fi;
			k++
		:: else -> break
		od;
		queued = x; k = x;
		do
		:: k < 4 -> queue[k] = 0; k++
		:: else -> break
		od;
		k = 0; x = 0
	}
}

/* Cursor.published */
inline Settled() {
	if
	:: CAP > 0 && waiting > 0 -> Refresh()                                  /* C4 */
	:: else
	fi
}

/* feed.relieve */
inline Relieve() {
#ifdef MUTANT_RELIEVE_PARKS_UNLOCKED
	Park(0);
	Lock();
#else
	Lock();
#ifndef MUTANT_RELIEVE_WITHOUT_PARK
	Park(0);
#endif
#endif
	Absorb(0);
	Unlock();
	Settled()
}

/* feed.wake */
inline Wake(f) {
	if
	:: FILTER ->
		do
		:: Lock();
			Absorb(f);
#ifdef MUTANT_DRAINED_NOT_TOLD
			found = turns > 0;
#else
			found = turns > 0 || leaving && pos[f] >= end;
#endif
			again = false;
			if
#ifdef MUTANT_NO_PARK_FOR_WAITERS
			:: !found ->
#else
			:: !found || waiting > 0 ->
#endif
#ifndef MUTANT_NOT_PARKED_AGAIN
				Park(f);                                                    /* B1 */
#endif
#ifndef MUTANT_PARKED_WITHOUT_LOOK
				again = Slot(f)                                             /* B2 */
#endif
			:: else
			fi;
			Unlock();
			Settled();
			if
#ifdef MUTANT_WANTED_ENDS_HELP
			:: found -> break
			:: !found && !again -> break
#else
			:: !again -> break
#endif
			:: else
			fi;
			n++;
			if
#ifdef MUTANT_HELP_ENDS_EARLY
			:: n >= MAXHELP -> found = true; break
#else
			:: n >= MAXHELP && waiting == 0 -> found = true; break
#endif
			:: else
			fi
		od;
		atomic { again = false; n = 0 };
		if
		:: found -> found = false; PushAndRouse(f)
		:: else
		fi
	:: else -> PushAndRouse(f)
	fi
}

proctype Publisher(byte p) {
	byte i, j, f, k, x, n;
	bool found, again, waited;
	if
	:: JOIN && p == PRODS - 1 ->                                            /* Feed */
#ifndef MUTANT_FEED_WITHOUT_PUSH
		Push(FEEDS - 1);
#else
		Lock(); dirty[FEEDS - 1] = true; Unlock();
#endif
		Rouse()
	:: else
	fi;
	do
	:: j < EVENTS ->
		if
		:: CAP > 0 ->
look:
			i = claim[0];
			if
			:: d_step { i >= Limit -> skip }; Relieve()                     /* admit */
			:: i < Limit && (hungry == 0 || whungry[p]) -> goto take
			:: i < Limit && hungry > 0 && !whungry[p]
			fi;
			if
			:: atomic { leaving -> goto over }
			:: i < Limit && (hungry == 0 || whungry[p]) -> goto take
			:: else
			fi;
			atomic {                                                        /* wait */
				if
				:: waited && !whungry[p] -> whungry[p] = true; hungry++
				:: else
				fi;
				queue[2] = (whungry[p] -> queue[1] : queue[2]);             /* the hungry go first */
				queue[1] = (whungry[p] -> queue[0] : queue[1]);
				queue[(whungry[p] -> 0 : queued)] = p; queued++;
				waiting++                                                   /* W1 */
			};
			Refresh();                                                      /* W2 */
#if defined(MUTANT_NO_RELIEF_FOR_WAITERS)
#elif defined(MUTANT_RELIEF_AT_THE_POSITION)
			if
			:: i >= Limit -> Relieve()
			:: else
			fi;
#else
			Relieve();
#endif
end_waiting:
			if
			:: atomic { wready[p] -> wready[p] = false; waited = true; i = 0 }
			fi;
			goto look;
take:
			if
			:: atomic { !leaving && claim[0] == i -> claim[0]++ }           /* P1 */
			:: atomic { leaving -> i = 0; goto over }
			:: atomic { !leaving && claim[0] != i -> i = 0 }; goto look
			fi
		:: else ->
			atomic {
				if
				:: leaving -> goto over
				:: else -> i = claim[p % FEEDS]; claim[p % FEEDS]++         /* P1 */
				fi
			}
		fi;
		atomic {
			if
			:: total++; slot[(p % FEEDS) * (SLOTS + 1) + i] = WANTED        /* P4 */
			:: FILTER -> slot[(p % FEEDS) * (SLOTS + 1) + i] = OTHER
			fi;
			i = 0
		};
		if
		:: atomic { list[p % FEEDS] -> list[p % FEEDS] = false };           /* P5 */
			parked[p % FEEDS] = false;
			Wake(p % FEEDS)
		:: atomic { !list[p % FEEDS] -> skip }
		fi;
		if
		:: waited ->                                                        /* leave */
			atomic {
				if
				:: whungry[p] -> whungry[p] = false; hungry--
				:: else
				fi;
				waited = false
			};
			Refresh()
		:: else
		fi;
		j++
	:: else -> break
	od;
over:
	done++
}

proctype Injector() {
	byte k, x;
	Lock();
	atomic { Line(); total++ };
	Unlock();
#ifndef MUTANT_INJECT_WITHOUT_ROUSE
	Rouse()
#endif
}

/* Releases what was taken over from a consumer. */
proctype Holder() {
	byte k, x;
	bool found;
end_holder:
	do
	:: holds > 0 ->
		Lock();
		atomic { holds--; Release(); found = turns > 0 };
		Unlock();
		if
		:: found ->
#ifndef MUTANT_RELEASE_WITHOUT_ROUSE
			Rouse()
#endif
		:: else
		fi
	od
}

proctype Operator() {
	byte c;
	do
	:: c < PAUSED -> atomic { paused[c] = true; stopped = stopped | 1 << c }; Signal(c); c++
	:: else -> break
	od
}

proctype Closer() {
	byte c;
	atomic { leaving = true; end = claim[0] };                              /* Detach */
	do
	:: c < CONS -> Signal(c); c++
	:: else -> break
	od
}

/* Goroutine j of consumer c. */
proctype Run(byte c; byte j) {
	byte f, k, x, gathered;
	bool found, runnable, got, over, mine;
end_pool:
	do
	:: atomic { started[c] > 0 && !(alive[c] >> j & 1) && (alive[c] & ((1 << j) - 1)) == (1 << j) - 1 ->
			started[c]--; alive[c] = alive[c] | 1 << j };
begin:
		atomic { assert(!owned[c]); owned[c] = true };
look:
#if PAUSED || DRAIN
		sig[c] = false;
#endif
		runnable = !paused[c];
		if
		:: runnable -> goto pop
		:: else
		fi;
sleep:
		if
		:: runnable ->
			Lock();
			Gather();
			do
			:: f < FEEDS ->
				if
#ifndef MUTANT_SLEEP_WITHOUT_PARK
				:: dirty[f] -> Park(f)                                      /* B1 */
#endif
				:: else
				fi;
				f++
			:: else -> break
			od;
			atomic { f = 0; gathered = 0; mu = false };
			Ready();                                                        /* B2: saves a B5 that looks again */
			if
#ifndef MUTANT_SLEEP_THOUGH_DRAINED
			:: leaving -> Drained()         /* after Ready, which may have taken the sign of it */
#endif
			:: else
			fi;
			if
			:: found || over -> found = false; over = false; goto look
			:: else
			fi
		:: else ->
#ifndef MUTANT_PAUSED_WITHOUT_PASS
			Ready();                                                        /* pass */
			if
			:: found -> found = false; Rouse()
			:: else
			fi
#endif
		fi;
		atomic { owned[c] = false; state[c] = (runnable -> IDLE : DORMANT) };
		if
		:: sig[c] -> goto resume
		:: !sig[c] && !runnable -> goto gone
		:: else
		fi;
		if
#ifndef MUTANT_WOKEN_NOT_RECHECKED
		:: woken != 0 -> goto resume                                        /* B5 */
#endif
		:: else
		fi;
#if !defined(MUTANT_READY_NOT_RECHECKED) && !defined(MUTANT_WOKEN_NOT_RECHECKED)
		Ready();                                                            /* B5 */
		if
		:: found -> found = false; goto resume
		:: else
		fi;
#endif
		goto gone;
resume:
		if
		:: atomic { state[c] == (runnable -> IDLE : DORMANT) -> state[c] = RUNNING }; goto begin
		:: atomic { state[c] != (runnable -> IDLE : DORMANT) -> goto gone }
		fi;
pop:
		atomic { !mu -> mu = true;
			if
			:: mine -> mine = false; Release()
			:: else
			fi };
		Gather();
		gathered = 0;
		do
		:: f < FEEDS ->
			if
			:: dirty[f] || FEEDS == 1 ->
				Absorb(f);
				if
				:: FEEDS > 1 ->
#ifndef MUTANT_ABSORBED_WITHOUT_PARK
					Park(f);                                                /* B1 */
#endif
#ifdef MUTANT_QUIET_WITHOUT_LOOK
					dirty[f] = false
#else
					dirty[f] = Slot(f)                                      /* B2 */
#endif
				:: else
				fi
			:: else
			fi;
			f++
		:: else -> break
		od;
		atomic {
			f = 0;
			if
			:: turns > 0 -> got = true; turns--; taken++;
				if
				:: KEYED -> busy = true; mine = true
				:: else
				fi;
				if
				:: inside > 0 -> inside--; place = pos[0] - inside          /* Inject is not combined with a bound */
				:: else
				fi
			:: else
			fi;
			found = turns > 0
		};
		if
#ifndef MUTANT_NO_MORE
		:: !found && CONS > 1 ->
			do
			:: f < FEEDS ->
				if
				:: dirty[f] ->
#ifndef MUTANT_MORE_WITHOUT_PARK
					Park(f);                                                /* B1 */
#endif
#ifndef MUTANT_MORE_WITHOUT_LOOK
					found = found || Slot(f)                                /* B2 */
#endif
				:: else
				fi;
				f++
			:: else -> break
			od;
#ifndef MUTANT_MORE_WITHOUT_LOOK
			found = found || woken != 0
#endif
#endif
		:: else
		fi;
		atomic { f = 0; over = got && leaving && turns + behind == 0; mu = false };
		Settled();
		if
		:: over ->                                                          /* WakeAll */
			do
			:: f < CONS -> Signal(f); f++
			:: else -> break
			od;
			f = 0
#ifndef MUTANT_MORE_WITHOUT_ROUSE
		:: found && !over -> Rouse()
#endif
		:: else
		fi;
		atomic { found = false; over = false };
		if
		:: got ->
			got = false;
			if
			:: c < STUCK -> atomic { stuck = stuck | 1 << c; mine = false }; goto ended
			:: KEYED == 2 -> atomic { mine = false; holds++ }
			:: KEYED ->                                                     /* Reader.Release */
				Lock();
				Release();
				mine = false;
				found = turns > 0;
				Unlock();
				if
				:: found -> found = false; Rouse()
				:: else
				fi
			:: true
			fi;
			goto look
		:: else
		fi;
		if
		:: leaving -> Drained()
		:: else
		fi;
		if
		:: over ->                                                          /* WakeAll */
			over = false;
			left = left | 1 << c;
			do
			:: f < CONS -> Signal(f); f++
			:: else -> break
			od;
			f = 0;
			goto ended
		:: else
		fi;
		if
		:: sig[c] -> goto look
		:: else -> goto sleep
		fi;
gone:
		atomic { runnable = false; alive[c] = alive[c] & ~(1 << j) }
	od;
ended:
	skip
}

init {
	byte p, c;
	atomic {
		do
		:: p < FEEDS -> pushed[p] = !JOIN || p < FEEDS - 1;
			if
			:: pushed[p] -> woken = woken | 1 << p
			:: else
			fi;
			if
			:: FILTER && CAP > 0 -> parked[p] = true; list[p] = true        /* attachFeed relieves */
			:: else
			fi;
			p++
		:: else -> break
		od;
		p = 0;
		do
		:: p < PRODS -> run Publisher(p); p++
		:: else -> break
		od;
		p = 0;
		do
		:: c < CONS ->
			state[c] = RUNNING; started[c] = 1;
			if
			:: DEAF -> stuck = stuck | 1 << c; p = LOOPS
			:: else
			fi;
			do
			:: p < LOOPS -> run Run(c, p); p++
			:: else -> break
			od;
			p = 0; c++
		:: else -> break
		od;
		if
		:: INJECT -> run Injector()
		:: else
		fi;
		if
		:: KEYED == 2 -> run Holder()
		:: else
		fi;
		if
		:: PAUSED -> run Operator()
		:: else
		fi;
		if
		:: DRAIN -> run Closer()
		:: else
		fi;
		c = 0
	};
	timeout ->                              /* quiet: nobody can take another step */
	assert(done + queued == PRODS && waiting == queued);
	/* Who can take an event has done so. */
	assert(taken == total || (stuck | stopped) == ALL || KEYED && busy && stuck);
	/* Who waits for room waits for consumers that cannot move, and for what is wanted. */
	assert(queued == 0 || (stuck | stopped) == ALL && inside == CAP && claim[0] == pos[0]);
	/* Who drains comes to its end. */
	assert(!leaving || (stuck | stopped | left) == ALL)
}
