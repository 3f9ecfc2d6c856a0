/*
 * gate.pml: exact capacity, and publishers that wait for room.
 *
 * Claims: the events that a cursor has accepted and not read never exceed its
 * capacity, also when a newcomer lowers the limit in the middle; when
 * everything is quiet no patient publisher waits and every cursor has read what
 * was claimed (a tombstone does not cost room for ever).
 *
 * Every publication may take the fast or the slow path at any time: margin is
 * a matter of speed only. A publisher is patient, or gives up when its ctx
 * ends, which may be at any time once it has found no room (Reject: at once).
 * Cursor 0 stays; cursor 1 subscribes at some time and detaches or not. Both
 * are read by consumers that are awake whenever their next slot is not empty.
 */
#ifndef PRODS
#define PRODS 2
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef NEWCOMER
#define NEWCOMER 1
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
#define SLOTS (PRODS * EVENTS)
#define NOLIMIT 99

#define EMPTY 0
#define READY 1
#define TOMB  2

byte claim;
byte slot[SLOTS + 1];
byte soft, limit;                           /* set by init */
bool attached[2];
byte place[2];                              /* published positions */
byte rd[2];                                 /* where the readers really are */

bool mu;                                    /* guards what follows */
byte hungry;
byte waiting;                               /* atomic: read without mu */
byte queue[PRODS + 1], queued;              /* Log.waiters */
byte wpos[PRODS];
bool wclaimed[PRODS], whungry[PRODS], wready[PRODS];
byte fresh;

bool accepted[SLOTS];                       /* ghost */
byte done;                                  /* ghost: publishers that have ended */

inline Lock()   { atomic { !mu -> mu = true } }
inline Unlock() { mu = false }

/* Exact: what cursor c must still read fits its capacity. */
inline Check(c, cap) {
	n = 0; q = rd[c];
	do
	:: q < SLOTS -> n = n + accepted[q]; q++
	:: else -> break
	od;
	assert(!attached[c] || n <= cap);
	n = 0; q = 0
}

inline Refresh() {
	fresh = NOLIMIT;
	d_step {
		if
		:: attached[0] -> fresh = place[0] + CAP0
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
	d_step { soft = (hungry == 0 -> fresh : 0); fresh = 0 }                 /* soft == 0 is also !open */
}

/* One step: all it touches but claim is guarded by mu. */
inline WakeForRoom() {
	atomic {
		room = (limit > claim -> limit - claim : 0);
		q = 0; n = 0;
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
			:: else -> queue[n] = queue[q]; n++
			fi;
			q++
		:: else -> break
		od;
		q = n;
		do
		:: q < queued -> queue[q] = 0; q++
		:: else -> break
		od;
		queued = n; q = 0; n = 0; room = 0
	}
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
	WakeForRoom();
	waiting++;
#else
	waiting++;                                                              /* W1 */
#ifndef MUTANT_NO_SECOND_LOOK
	Refresh();                                                              /* W2 */
	WakeForRoom();
#endif
#endif
	Unlock();
	was_parked = true;
	if
	:: atomic { wready[id] -> wready[id] = false; woken = true }
	:: impatient -> quit = true
	fi
}

/* Log.leave */
inline Leave() {
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
	WakeForRoom();
#endif
	Unlock()
}

proctype Publisher(byte id) {
	byte i, k, n, q, room;
	bool impatient, woken, quit, was_parked, claimed;
	do
	:: k < EVENTS ->
		if
		:: id < GIVE_UP -> impatient = true
		:: impatient = false
		fi;
		if
#ifdef MUTANT_LIMIT_READ_BEFORE_CLAIM
		:: atomic { soft != 0 && claim < soft -> n = soft };
			d_step { i = claim; claim++ };
			claimed = true;
			if
			:: atomic { i < n -> n = 0; goto accept }
			:: else -> n = 0
			fi
#else
		:: soft != 0 ->
			d_step { i = claim; claim++ };                                  /* P1 */
			claimed = true;
			if
			:: atomic { i < soft -> goto accept }                           /* P2 */
			:: else
			fi
#endif
		:: true ->                          /* soft == 0, or no margin left, or a Meta */
slow:
			i = claim;
			if
			:: soft != 0 && i < limit
			:: else ->                                                      /* admit */
				Lock();
				if
				:: i >= limit -> Refresh()
				:: else
				fi;
				if
				:: i < limit && (hungry == 0 || whungry[id]) -> Unlock()
				:: else ->
					Unlock();
					if
					:: impatient -> goto out            /* Reject, or its ctx had ended before */
					:: true
					fi;
					Wait();
					if
					:: quit -> goto out
					:: else -> goto slow
					fi
				fi
			fi;
			if
			:: atomic { claim == i -> claim++ }                             /* P1 */
			:: atomic { claim != i -> i = 0 }; goto slow
			fi;
			claimed = true
		fi;
settle:
		if
		:: atomic { i < limit -> goto accept }                              /* P2 */
		:: else
		fi;
		wclaimed[id] = true;
late:
		Lock();
		Refresh();
		if
		:: atomic { i < limit -> mu = false; goto accept }
		:: else
		fi;
		Unlock();
		if
		:: impatient -> goto out
		:: true
		fi;
		Wait();
		if
		:: quit -> goto out
		:: else -> goto late
		fi;
accept:
		atomic {
			accepted[i] = true;
			Check(0, CAP0);
			Check(1, CAP1)
		};
		slot[i] = READY;                                                    /* P4 */
		claimed = false;
out:
		if
		:: claimed -> slot[i] = TOMB                                        /* bury */
		:: else
		fi;
		if
		:: was_parked -> Leave()
		:: else -> wclaimed[id] = false
		fi;
		atomic { k++; i = 0; impatient = false; woken = false; quit = false; was_parked = false; claimed = false }
	:: else -> break
	od;
	done++
}

proctype Consumer(byte c) {
	byte n, q, room;
	bool leaver;
	if
	:: c == 1 ->                                                            /* Subscribe */
		if
		:: leaver = true
		:: leaver = false
		fi;
		Lock();
#ifndef MUTANT_SUBSCRIBE_KEEPS_LIMIT
		soft = 0;
		limit = 0;
#endif
		atomic { rd[1] = claim; place[1] = rd[1] };
		atomic { attached[1] = true; Check(1, CAP1) };
		Refresh();
		WakeForRoom();
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
			n = waiting;
			place[c] = rd[c];
			if
			:: n > 0 ->
#else
			place[c] = rd[c];                                               /* C3 */
			if
			:: waiting > 0 ->                                               /* C4 */
#endif
				n = 0;
				Lock();
				Refresh();
				WakeForRoom();
				Unlock()
			:: else
			fi
		fi
	:: leaver ->                                                            /* Detach */
		Lock();
		attached[1] = false;
		Refresh();
#ifndef MUTANT_DETACH_WITHOUT_WAKE
		WakeForRoom();
#endif
		Unlock();
		break
	od
}

init {
	byte p;
	atomic {
		attached[0] = true; limit = CAP0; soft = CAP0;
		do
		:: p < PRODS -> run Publisher(p); p++
		:: else -> break
		od;
		run Consumer(0);
		if
		:: NEWCOMER -> run Consumer(1)
		:: else
		fi
	};
	timeout ->                              /* quiet: nobody can take another step */
	assert(done == PRODS);
	assert(queued == 0 && waiting == 0 && hungry == 0);
	assert(rd[0] == claim);
	assert(!attached[1] || rd[1] == claim)
}
