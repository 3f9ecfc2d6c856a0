/*
 * gate.pml: exact capacity, and publishers that wait for room.
 *
 * Claims: the events that a cursor has accepted and not read never exceed its
 * capacity, also when a newcomer lowers the limit in the middle of a batch; when
 * everything is quiet no patient publisher waits while there is room for it,
 * although only the cursor that was appointed full wakes them, and every cursor
 * has read what was claimed, so that no patient publisher waits at all, unless a
 * handler never returns (a tombstone does not cost room for ever).
 *
 * A publication is a batch of any size that there is room for, or of one event,
 * which may take the slow path at any time. A publisher is patient, or gives up
 * when its ctx ends, which may be at any time once it has found no room (Reject:
 * at once). Cursor 0 stays; cursor 1 subscribes at some time or is there from the
 * start, and detaches or not. Both are read by consumers that are awake whenever
 * their next slot is not empty.
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef OTHERS
#define OTHERS EVENTS                       /* events of each publisher but the first */
#endif
#ifndef SECOND
#define SECOND 1                            /* cursor 1: 0 never comes, 1 is a newcomer, 2 is there */
#endif
#ifndef LEAVES
#define LEAVES 1                            /* cursor 1 may detach */
#endif
#ifndef STUCK
#define STUCK 0                             /* so many cursors may have a handler that never returns */
#endif
#ifndef CAP0
#define CAP0 1
#endif
#ifndef CAP1
#define CAP1 1
#endif
#ifndef GIVE_UP
#define GIVE_UP 1                           /* so many publishers may be impatient */
#endif
#define SLOTS (EVENTS + (PRODS - 1) * OTHERS)
#define NOLIMIT 99
#define NONE 9

#define EMPTY 0
#define READY 1
#define TOMB  2

byte claim;
byte slot[SLOTS + 1];
byte soft, limit;                           /* set by init */
byte appointed = NONE;                        /* atomic: written under mu */
byte place[2];                              /* published positions */
byte rd[2];                                 /* where the readers really are */
#define Limit(c) (place[c] + (c == 0 -> CAP0 : CAP1))

bool mu;                                    /* guards what follows */
bool attached[2];                           /* Log.gating is 0, then 1 */
byte roomyTo;
byte late;                                  /* publishers that have claimed beyond the limit */
byte hungry;
byte waiting;                               /* atomic: read without mu */
byte queue[PRODS + 1], queued;              /* Log.waiters */
byte wpos[PRODS];
bool wclaimed[PRODS], whungry[PRODS], wready[PRODS];
byte head, lowest, upTo, fresh;             /* of whoever has mu */

bool stuck[2];                              /* ghost */
bool accepted[SLOTS];                       /* ghost */
bool over;                                  /* ghost: quiet, and looked at */
byte done;                                  /* ghost: publishers that have ended */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

/* Exact: what cursor c must still read fits its capacity. */
inline Check(c, cap) {
	room = 0; q = rd[c];
	do
	:: q < SLOTS -> room = room + accepted[q]; q++
	:: else -> break
	od;
	assert(!attached[c] || room <= cap);
	room = 0; q = 0
}

inline Accept(from, to) {
	q = from;
	do
	:: q < to -> accepted[q] = true; q++
	:: else -> break
	od;
	Check(0, CAP0);
	Check(1, CAP1)
}

/* Log.appoint: as the one that wakes, unless it has moved beyond most. Leaves its limit in fresh. */
inline Appoint(c, most) {
	appointed = c;                                                          /* F1 */
#ifdef MUTANT_APPOINT_WITHOUT_LOOK
	fresh = most
#else
	fresh = Limit(c)                                                        /* F2 */
#endif
}

/* Log.gate: leaves in fresh a limit that no gating cursor's is below. */
inline Gate() {
	head = claim;
	do
#ifdef MUTANT_LATE_NOT_COUNTED
	:: roomyTo < 2 ->
#else
	:: late == 0 && roomyTo < 2 ->
#endif
		if
		:: !attached[roomyTo] || Limit(roomyTo) > head -> roomyTo++
		:: else ->
			Appoint(roomyTo, head);
			if
			:: fresh > head -> roomyTo++
			:: else ->
#ifndef MUTANT_LIMIT_OF_THE_FULL_ONE
				fresh = limit;              /* may be lower than it could be */
#endif
				break
			fi
		fi
	:: else ->
		roomyTo = 0;
		atomic { upTo = Limit(0); lowest = 0 };
		atomic {
			if
			:: attached[1] && Limit(1) < upTo -> upTo = Limit(1); lowest = 1
			:: else
			fi
		};
		if
		:: upTo > head -> fresh = upTo; appointed = NONE; break
		:: else ->
#ifdef MUTANT_LOWEST_NOT_APPOINTED
			fresh = upTo;
			break
#else
			Appoint(lowest, upTo);
			if
			:: fresh == upTo -> break
			:: else
			fi
#endif
		fi
	od;
	atomic { lowest = 0; upTo = 0 }
}

inline SetLimit() {
	limit = fresh;
	d_step { soft = (hungry == 0 -> fresh : 0); fresh = 0 }                 /* soft == 0 is also !open */
}

/* One step: all it touches is guarded by mu. */
inline WakeForRoom() {
	atomic {
#ifdef MUTANT_HEAD_READ_AGAIN
		head = claim;
#endif
		room = (limit > head -> limit - head : 0);
		q = 0; upTo = 0;
		do
		:: q < queued ->
			if
			:: q < room ||
#ifdef MUTANT_CLAIMED_NOT_SERVED
				false
#else
				(wclaimed[queue[q]] && wpos[queue[q]] < limit)
#endif
				-> wready[queue[q]] = true; waiting--
			:: else -> queue[upTo] = queue[q]; upTo++
			fi;
			q++
		:: else -> break
		od;
		q = upTo;
		do
		:: q < queued -> queue[q] = 0; q++
		:: else -> break
		od;
		queued = upTo; q = 0; upTo = 0; room = 0; head = 0
	}
}

/* Log.refresh wakes for the room that Gate has found: whoever uses it up wakes nobody, nor does the cursor that has made it. */
inline Refresh() {
	Gate();
	SetLimit();
	WakeForRoom()
}

/* Log.wait: registers, looks once more, parks. Ends in woken or, for the impatient, in quit. */
inline Wait() {
	Lock();
	d_step {
		wpos[id] = i;
		if
		:: woken && !whungry[id] -> whungry[id] = true; hungry++
		:: else
		fi;
		q = queued;
		if
		:: whungry[id] ->
			do
			:: q > 0 -> queue[q] = queue[q - 1]; q--
			:: else -> break
			od
		:: else
		fi;
		queue[q] = id; queued++; q = 0
	};
#ifdef MUTANT_LOOK_BEFORE_WAITING
	Refresh();
	waiting++;
#else
	waiting++;                                                              /* W1 */
#ifndef MUTANT_NO_SECOND_LOOK
	Refresh();                                                       /* W2 */
#endif
#endif
	Unlock();
	was_parked = true;
	if
	:: true ->
		if
		:: atomic { wready[id] -> wready[id] = false; woken = true }
		:: over -> goto gone
		fi
	:: id < GIVE_UP -> quit = true
	fi
}

/* Log.leave */
inline Leave() {
	quit = false;
	if
	:: was_parked ->
		Lock();
		d_step {
			if
			:: whungry[id] -> whungry[id] = false; hungry--
			:: else
			fi;
			q = 0;
			do
			:: q < queued && queue[q] != id -> q++
			:: else -> break
			od;
			if
			:: q < queued ->
				waiting--; queued--;
				do
				:: q < queued -> queue[q] = queue[q + 1]; q++
				:: else -> break
				od;
				queue[queued] = 0
			:: else
			fi;
			wready[id] = false; wpos[id] = 0; wclaimed[id] = false; q = 0
		};
#ifndef MUTANT_LEAVER_KEEPS_WAKE
		Refresh();
#endif
		Unlock();
		d_step { was_parked = false; woken = false }
	:: else -> wclaimed[id] = false
	fi
}

proctype Publisher(byte id) {
	byte i, n, k, q, room;                  /* n slots from i on are claimed and not settled */
	bool woken, quit, was_parked, beyond, ok;
	do
	:: k < (id == 0 -> EVENTS : OTHERS) ->
again:
		if
		:: atomic { claim < soft -> i = claim; n = 1;
			do
			:: n < (id == 0 -> EVENTS : OTHERS) - k && i + n < soft -> n++  /* AppendBatch */
			:: break
			od };
			if
			:: atomic { claim == i -> claim = i + n }                       /* P1 */
			:: atomic { claim != i -> i = 0; n = 0 }; goto again
			fi;
			if
#ifdef MUTANT_LIMIT_READ_BEFORE_CLAIM
			:: atomic { true ->
#else
			:: atomic { i + n <= soft ->                                    /* P2 */
#endif
				Accept(i, i + n) };
				do
				:: n > 0 -> slot[i] = READY;                                /* P4 */
					atomic { i++; n--; k++ }
				:: else -> goto next
				od
			:: else -> goto settle
			fi
		:: true                             /* soft == 0, or a Meta */
		fi;
slow:
		i = claim;
		if
		:: soft != 0 && i < limit -> goto take
		:: else -> goto look                                                /* admit */
		fi;
settle:
		if
		:: atomic { i < limit -> Accept(i, i + 1) }; goto hand              /* P2 */
		:: else -> atomic { !mu -> late++; beyond = true; wclaimed[id] = true } /* settleLate */
		fi;
look:
		Lock();
		if
		:: beyond || i >= limit ->
#ifdef MUTANT_ROOM_WITHOUT_WAKE
			Gate(); SetLimit()
#else
			Refresh()
#endif
		:: else
		fi;
		if
		:: atomic { beyond && i < limit -> Accept(i, i + 1); ok = true; mu = false }; goto leave
		:: !beyond && i < limit && (hungry == 0 || whungry[id]) -> Unlock(); goto take
		:: else ->
			Unlock();
			if
			:: id < GIVE_UP -> quit = true      /* Reject, or its ctx had ended before */
			:: true                             /* yield */
			:: Wait()
			fi;
			if
			:: quit && beyond -> goto leave
			:: quit && !beyond -> k++; goto leave
			:: !quit && beyond -> goto look
			:: !quit && !beyond -> goto slow
			fi
		fi;
take:
		if
		:: atomic { claim == i -> claim++; n = 1 }; goto settle             /* P1 */
		:: atomic { claim != i -> i = 0 }; goto slow
		fi;
leave:
		Leave();
		if
		:: beyond -> atomic { !mu -> late--; beyond = false }
		:: else
		fi;
		if
		:: ok -> ok = false
		:: else ->
			do
			:: n > 0 -> slot[i] = TOMB; atomic { i++; n--; k++ }            /* bury, and what comes after it */
			:: else -> goto next
			od
		fi;
hand:
		slot[i] = READY;                                                    /* P4 */
		atomic { i++; n--; k++ };
		if
		:: n > 0 -> goto settle
		:: else -> goto leave
		fi;
next:
		i = 0
	:: else -> break
	od;
	done++;
gone:
	skip
}

proctype Consumer(byte c) {
	byte q, room, old;
	bool leaver;
	if
	:: c == 1 && LEAVES -> leaver = true
	:: true
	fi;
	if
	:: c == 1 && SECOND == 1 ->                                             /* Subscribe */
		Lock();
		old = limit;
#ifndef MUTANT_SUBSCRIBE_KEEPS_LIMIT
		soft = 0;
		limit = 0;
#endif
		atomic { rd[1] = claim; place[1] = rd[1]; fresh = old; old = 0 };
#ifndef MUTANT_NEWCOMER_NOT_COUNTED
		fresh = (Limit(1) < fresh -> Limit(1) : fresh);
#endif
		atomic { attached[1] = true; Check(1, CAP1) };
		SetLimit();
		Unlock()
	:: else
	fi;
end_idle:
	do
#ifdef MUTANT_TOMB_WITHOUT_WAKE
	:: slot[rd[c]] != EMPTY && (slot[rd[c]] == READY || (rd[c] + 1 < SLOTS && slot[rd[c] + 1] == READY)) ->
#else
	:: slot[rd[c]] != EMPTY ->                                              /* C1 */
#endif
		rd[c]++;                                                            /* C2 */
		if
		:: slot[rd[c]] != EMPTY             /* the batch goes on */
#ifdef MUTANT_IDLE_WITHOUT_PUBLISH
		:: c == 0
#endif
		:: true ->
#ifdef MUTANT_PUBLISH_AFTER_WAITING
			q = waiting;
#endif
#ifdef MUTANT_PUBLISH_AFTER_FULL
			q = appointed;
#endif
			place[c] = rd[c];                                               /* C3 */
			if
#ifdef MUTANT_PUBLISH_AFTER_WAITING
			:: q > 0 ->
#else
			:: waiting > 0 ->                                               /* C4 */
#endif
				if
#ifdef MUTANT_PUBLISH_AFTER_FULL
				:: q == c ->
#else
				:: appointed == c ->                                        /* C4 */
#endif
					Lock();                                                 /* release */
refresh:
					Refresh();
					Unlock();
					if
					:: c == 1 && !attached[1] -> break
					:: else
					fi
				:: else
				fi
			:: else
			fi;
			q = 0
		fi
	:: c < STUCK -> stuck[c] = true; break
	:: leaver ->                                                            /* Detach */
		Lock();
		old = limit;
		soft = 0;
		limit = 0;
		d_step { attached[1] = false; roomyTo = (roomyTo > 1 -> 1 : roomyTo); fresh = old };
		SetLimit();
		if
#ifndef MUTANT_DETACH_WITHOUT_WAKE
		:: queued > 0 || appointed == 1 -> goto refresh
#endif
		:: else -> Unlock()
		fi;
		break
	od
}

init {
	byte p;
	bool vain;
	atomic {
		attached[0] = true; limit = CAP0; soft = CAP0;
		if
		:: SECOND == 2 && CAP1 < CAP0 -> limit = CAP1; soft = CAP1
		:: else
		fi;
		attached[1] = SECOND == 2;
		do
		:: p < PRODS -> run Publisher(p); p++
		:: else -> break
		od;
		run Consumer(0);
		if
		:: SECOND > 0 -> run Consumer(1)
		:: else
		fi
	};
	timeout ->                              /* quiet: nobody can take another step */
	assert(done + queued == PRODS && waiting == queued);
	do
	:: p > 0 ->
		p--;
		if
		:: p < queued ->
			upTo = (wclaimed[queue[p]] -> wpos[queue[p]] : claim);
			vain = Limit(0) > upTo && (!attached[1] || Limit(1) > upTo);
			assert(!vain);                  /* else it waits while there is room for it */
			assert(stuck[0] || attached[1] && stuck[1])
		:: else
		fi
	:: else -> break
	od;
	assert(queued > 0 || hungry == 0);
	assert(stuck[0] || stuck[1] || rd[0] == claim && (!attached[1] || rd[1] == claim));
	over = true
}
