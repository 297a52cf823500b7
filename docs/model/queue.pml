/* Combined commits (ADR 15): the commit queue, its leaders, and what the next lock holder makes of a dead one's slots.
 * docs/model/README.md says what is modelled and what was found; tests/prove/model/runs lists the runs with their flags.
 *
 * SIZE    R1 R2 R3 requests of submitter 1, 2 and 3 (at most 2 each), ND batches of the direct writer (transact), NS slots
 * FAULTS  NKILL kills of any process, NPOW power cuts, NTO waits that last longer than lock_timeout while the request is
 *         `filled`, NGU while it is `taken`, NFAIL commits that fail and change nothing, NHID commits that fail when the
 *         log is durable, NSF failing syncs of the log, NPOI holders that cannot lead (poisoned, files replaced)
 * SHAPE   COND: request 0 of submitter 2 fails when request 0 of submitter 1 is in. NOPRE: no slot has an owner at first.
 *         CLAIMLOCKED: slots are claimed under the store lock. COPYFIRST: a leader copies the request before it takes it
 * M_*     a mutation: one rule left out
 */
#ifndef R1
#define R1 1
#endif
#ifndef R2
#define R2 1
#endif
#ifndef R3
#define R3 1
#endif
#ifndef ND
#define ND 0
#endif
#ifndef NS
#define NS 3
#endif
#ifndef NKILL
#define NKILL 0
#endif
#ifndef NPOW
#define NPOW 0
#endif
#ifndef NTO
#define NTO 0
#endif
#ifndef NGU
#define NGU 0
#endif
#ifndef NFAIL
#define NFAIL 0
#endif
#ifndef NHID
#define NHID 0
#endif
#ifndef NSF
#define NSF 0
#endif
#ifndef NPOI
#define NPOI 0
#endif
#define NONE 9
#define BIT(r) (1 << (r))
#define IN(r, set) (((set) >> (r)) & 1)

/* States of a slot, and codes of an answer. ERR: nothing changed. IO: the write may be in. EXISTS: the plan failed. */
#define FREE 0
#define FILLED 1
#define TAKEN 2
#define ANSWERED 3
#define OK 1
#define ERR 2
#define IO 3
#define EXISTS 4

/* A control record: state with its generation, given up, mark, answer {code, ghost: of which request}. rq: the body, which is
 * the number of the request. own: who has the OFD lock on the slot's byte. called: the wake word has moved since the owner
 * cleared it. */
typedef Slot { byte st; byte gen; byte gu; byte mk; byte an; byte ar; byte rq; byte own; bit called }
Slot S[NS];
byte lock = NONE;                   /* the store lock */
byte claimer = NONE;                /* the OFD lock that claimers take one after the other */
bit dead[6]; byte ndead;            /* killed, and not yet at its beginning again */
byte nkill = NKILL; byte npow = NPOW; byte nto = NTO; byte ngu = NGU; byte nfail = NFAIL; byte nhid = NHID; byte nsf = NSF;
byte npoi = NPOI;

/* The log and the pages, as sets of requests. Bits 6 and 7: batches of the direct writer. */
byte nx = 1;                        /* next LSN: one a batch */
byte pend;                          /* the last batch, written and not synced */
bit bad;                            /* a sync of it failed, so it may be gone */
byte dur; byte vis;                 /* in the log for ever; in the pages */
bit dirty;                          /* the cached tail is invalid */

/* Ghosts: what the caller was told. `gone`: the owner died without an answer, or gave its taken request up. */
byte said_ok; byte said_no; byte said_io; byte gone;
byte cur[5];                        /* the request that this process waits for */

/* What a lock holder has in its memory. */
byte resolved;                      /* ghost: requests whose callers had an answer, or were gone, when the hold began */
byte tk; byte rest; byte set; byte pf; byte late; byte bt; byte code; byte i; byte c; byte w; bit mode; bit in; bit drop;
byte q[NS + 1]; byte wg[NS];

#define SLICE (nkill < NKILL || npow < NPOW) /* who slept through a death looks again after 20 ms */
#define OWN assert(lock == _pid)             /* I6 */
#define IS(s, state, g) (S[s].st == state && S[s].gen == g)
#ifdef M_NOGEN
#define NEXT_GENERATION(s) S[s].gen = 1
#else
#define NEXT_GENERATION(s) S[s].gen++
#endif
#ifdef COND
#define REFUSED(r, pages) (r == 2 && IN(0, pages))
#else
#define REFUSED(r, pages) 0
#endif

/* ---- the lock */
inline BEGIN_HOLD() { lock = _pid; resolved = said_ok | said_no | said_io | gone }
inline FORGET() {
  resolved = 0; tk = 0; rest = 0; set = 0; pf = 0; late = 0; bt = 0; code = 0; i = 0; c = 0; w = 0; mode = 0; in = 0; drop = 0;
  q[0] = 0; wg[0] = 0; q[NS] = 0;
#if NS > 1
  q[1] = 0; wg[1] = 0;
#endif
#if NS > 2
  q[2] = 0; wg[2] = 0;
#endif
}
/* Who releases the lock leaves no request without a verdict. A dead leader does. */
#if NS == 1
#define NONE_TAKEN (S[0].st != TAKEN)
#elif NS == 2
#define NONE_TAKEN (S[0].st != TAKEN && S[1].st != TAKEN)
#else
#define NONE_TAKEN (S[0].st != TAKEN && S[1].st != TAKEN && S[2].st != TAKEN)
#endif
inline UNLOCK(led) { atomic { OWN; assert(!led || NONE_TAKEN); FORGET(); lock = NONE } }
inline WAKE(s) { S[s].called = 1 }
/* Wakes the owner of one filled slot. */
inline CALL_ONE() {
  do
  :: atomic { S[k].st == FILLED -> WAKE(k); k = 0; break }
  :: atomic { S[k].st != FILLED && k < NS - 1 -> k++ }
  :: atomic { S[k].st != FILLED && k == NS - 1 -> k = 0; break }
  od
}
inline RELEASE(led) {
#ifdef M_WAKEFIRST
  CALL_ONE(); UNLOCK(led)
#else
  UNLOCK(led); CALL_ONE()
#endif
}

/* ---- R5, R2: what the last holder left. */
inline RECOVER() {
  if
  :: dirty ->
     if
     :: atomic { pend != 0 && bad -> OWN; pend = 0; bad = 0; nx-- } /* evicted */
     :: atomic { pend != 0 -> OWN; dur = dur | pend; pend = 0; bad = 0 }
     :: pend == 0
     fi;
     atomic { OWN; vis = dur; dirty = 0 }
  :: else
  fi
}

/* ---- R13: a slot that is taken belongs to a dead leader. */
#ifdef M_SETTLEIGNORES
#define SETTLE_DROPS 0
#else
#define SETTLE_DROPS (S[i].gu == S[i].gen)
#endif
inline SETTLE() {
  do
  :: atomic { true ->
       do :: i < NS && S[i].st != TAKEN -> i++ :: else -> break od;
       if :: i == NS -> i = 0; break :: else fi;
       w = S[i].gen; in = (S[i].mk != 0 && S[i].mk < nx); drop = SETTLE_DROPS };
     atomic {
       OWN;
       if
       :: !IS(i, TAKEN, w)
       :: IS(i, TAKEN, w) && in -> assert(IN(S[i].rq, dur & vis) && S[i].ar == S[i].rq); S[i].st = ANSWERED; WAKE(i)
       :: else ->
          assert(!IN(S[i].rq, dur | pend));
          if :: drop -> S[i].st = FREE :: else -> S[i].st = FILLED fi
       fi;
       in = 0; drop = 0; w = 0; i++ }
  od
}

/* ---- R14: which requests the leader takes. */
#ifdef M_NOALIVE
#define ALIVE 1
#else
#define ALIVE (S[i].own != NONE)
#endif
#ifdef M_TAKEIGNORES
#define TAKE_DROPS 0
#else
#define TAKE_DROPS (S[i].gu == w)
#endif
inline TAKE() {
  do
  :: atomic { i == NS -> i = 0; break }
  :: atomic { i < NS && S[i].st != FILLED -> i++ }
  :: atomic { i < NS && S[i].st == FILLED -> w = S[i].gen;
#ifdef COPYFIRST
       c = S[i].rq
#endif
     };
     atomic {
       drop = (!ALIVE || TAKE_DROPS);
#if !defined(M_NOZERO) && !defined(M_ZEROLATE)
       if :: !drop -> S[i].mk = 0 :: else fi /* while the slot is still filled */
#endif
     };
     if
#ifdef M_TAKENOCAS
     :: atomic { !drop -> OWN; S[i].st = TAKEN; tk = tk | BIT(i); wg[i] = w };
#else
     :: atomic { !drop && IS(i, FILLED, w) -> OWN; S[i].st = TAKEN; tk = tk | BIT(i); wg[i] = w };
#endif
        atomic {
#ifdef M_ZEROLATE
          S[i].mk = 0;
#endif
#ifndef COPYFIRST
          c = S[i].rq;
#endif
          q[i] = c; assert(!IN(c, resolved)); /* nothing of a dead owner, nothing that was answered */
          c = 0; w = 0; i++ }
     :: atomic { drop -> OWN; if :: IS(i, FILLED, w) -> S[i].st = FREE :: else fi; drop = 0; c = 0; w = 0; i++ }
#ifndef M_TAKENOCAS
     :: atomic { !drop && !IS(i, FILLED, w) -> c = 0; w = 0; i++ }
#endif
     fi
  od
}

/* ---- one batch: append, sync, apply. */
inline MARKS() {
  i = 0;
  do
  :: i < NS && IN(i, set) -> S[i].mk = nx; i++
  :: i < NS && !IN(i, set) -> i++
  :: i == NS -> break
  od;
  i = 0
}
inline COMMIT() {
  if
  :: atomic { bt == 0 -> code = OK }
  :: atomic { bt != 0 && nfail > 0 -> nfail--; code = ERR }
  :: atomic { bt != 0 -> OWN; assert(pend == 0 && !dirty);
       assert((bt & (dur | pend)) == 0);  /* at most once */
       assert((bt & said_no) == 0);       /* what was taken back, or failed, is never applied */
       dirty = 1; pend = bt; nx++ };
#ifdef M_MARKLATE
     atomic { nx--; MARKS(); nx++ };
#endif
     if
     :: atomic { nsf > 0 -> nsf--; bad = 1; code = IO }
     :: atomic { OWN; dur = dur | pend; pend = 0 };
        if
        :: atomic { nhid > 0 -> nhid--; code = IO } /* the next holder makes it visible */
        :: atomic { OWN; vis = vis | bt; dirty = 0; code = OK }
        fi
     fi
  fi
}

/* ---- the leader */
inline PLAN() { /* in order of the slots, the leader's own request last; mode 1: one by one */
  bt = 0; set = 0; pf = 0; i = 0;
  do
  :: i <= NS && IN(i, rest) && !(mode && (set | pf) != 0) ->
     if
     :: REFUSED(q[i], vis | bt) -> pf = pf | BIT(i)
     :: else -> bt = bt | BIT(q[i]); set = set | BIT(i);
        if :: i < NS -> S[i].an = OK; S[i].ar = q[i] :: else fi
     fi;
     i++
  :: i <= NS && !(IN(i, rest) && !(mode && (set | pf) != 0)) -> i++
  :: i > NS -> break
  od;
  i = 0
}
inline ANSWER(which, with) {
  i = 0;
  do
  :: atomic { true ->
       do :: i < NS && !IN(i, which) -> i++ :: else -> break od;
       if :: i == NS -> if :: IN(NS, which) -> res = with :: else fi; i = 0; break :: else fi;
       if
       :: IS(i, TAKEN, wg[i]) -> OWN; S[i].an = with; S[i].ar = q[i]; S[i].st = ANSWERED; WAKE(i)
       :: else
       fi;
       i++ }
  od
}
inline LEAD() {
  RECOVER();
#if !defined(M_NOSETTLE) && !defined(M_SETTLELATE)
  SETTLE();
#endif
  TAKE();
#ifdef M_SETTLELATE
  SETTLE();
#endif
  atomic { rest = tk | (mem << NS); q[NS] = r; tk = 0 };
  do
  :: atomic { rest == 0 -> break }
  :: atomic { rest != 0 -> PLAN();
#ifndef M_MARKLATE
       MARKS()
#endif
     };
#ifdef M_EXISTSEARLY
     ANSWER(pf, EXISTS);
#endif
#ifdef M_ACKFIRST
     ANSWER(set, OK);
#endif
     COMMIT();
     if
     :: atomic { code == ERR && !mode && ((set | pf) & ((set | pf) - 1)) != 0 -> mode = 1; /* several: one by one */
#ifndef M_KEEPMARK
          i = 0; do :: i < NS && IN(i, set) -> S[i].mk = 0; i++ :: i < NS && !IN(i, set) -> i++ :: i == NS -> break od; i = 0
#endif
        }
     :: else ->
#ifdef M_ANSWERLATE
        if :: code == ERR -> late = late | set :: else -> ANSWER(set, code) fi;
#else
        ANSWER(set, code);
#endif
        if
        :: atomic { code == IO -> rest = rest & ~set }; /* what was not tried goes back; the leader's own fails with it */
           do
           :: atomic { true ->
                do :: i < NS && !IN(i, rest) -> i++ :: else -> break od;
                if :: i == NS -> if :: IN(NS, rest) -> res = ERR :: else fi; i = 0; rest = 0; break :: else fi;
                S[i].mk = 0; if :: IS(i, TAKEN, wg[i]) -> S[i].st = FILLED :: else fi; i++ }
           od
        :: else ->
           if :: pf != 0 -> ANSWER(pf, EXISTS) :: else fi;
           atomic { rest = rest & ~(set | pf); set = 0; pf = 0; bt = 0; code = 0 }
        fi
     fi
  od;
#ifdef M_ANSWERLATE
  ANSWER(late, ERR);
#endif
#ifdef CLAIMLOCKED
  if
  :: ms == NONE ->
     if
     :: atomic { S[0].own == NONE -> S[0].own = _pid; ms = 0 }
#if NS > 1
     :: atomic { S[1].own == NONE -> S[1].own = _pid; ms = 1 }
#endif
     :: skip
     fi;
     if
     :: atomic { ms != NONE -> assert(S[ms].st != TAKEN); S[ms].st = FREE; NEXT_GENERATION(ms) }
     :: else
     fi
  :: else
  fi;
#endif
  RELEASE(1)
}

/* ---- the owner of a request */
inline TOLD(answer) { /* what the call returns */
  if
  :: answer == OK -> assert(IN(r, dur & vis)); said_ok = said_ok | BIT(r) /* I1, I4 */
  :: answer == ERR -> assert(!IN(r, dur | pend)); said_no = said_no | BIT(r)
  :: answer == EXISTS -> assert(!IN(r, dur | pend) && IN(0, dur & vis)); said_no = said_no | BIT(r)
  :: answer == IO -> said_io = said_io | BIT(r)
  fi;
  cur[_pid] = NONE; r = 0; res = 0; mem = 0; g = 0
}
/* A slot for who has none. One claimer at a time; the state first, then the lock of the slot's byte. */
#ifdef M_CLAIMTAKEN
#define CLAIMABLE(s) (S[s].own == NONE)
#else
#define CLAIMABLE(s) (S[s].own == NONE && S[s].st != TAKEN)
#endif
inline CLAIM() {
#ifdef M_CLAIMRACE /* the lock first, and any number of claimers */
  if
  :: atomic { CLAIMABLE(0) -> ms = 0; S[0].own = _pid }
#if NS > 1
  :: atomic { CLAIMABLE(1) -> ms = 1; S[1].own = _pid }
#endif
  :: else
  fi;
  if
  :: ms == NONE
  :: atomic { ms != NONE && S[ms].st != TAKEN -> S[ms].st = FREE; NEXT_GENERATION(ms) }
  :: atomic { ms != NONE && S[ms].st == TAKEN -> S[ms].own = NONE; ms = NONE }
  fi
#else
#ifndef M_CLAIMNOBYTE
  atomic { claimer == NONE -> claimer = _pid };
#endif
  if
  :: atomic { CLAIMABLE(0) -> ms = 0; g = S[0].gen; k = S[0].st }
#if NS > 1
  :: atomic { CLAIMABLE(1) -> ms = 1; g = S[1].gen; k = S[1].st }
#endif
  :: else
  fi;
  if
  :: ms == NONE
  :: atomic { ms != NONE && IS(ms, k, g) -> S[ms].st = FREE; NEXT_GENERATION(ms) };
     if
     :: atomic { S[ms].own == NONE -> S[ms].own = _pid; S[ms].called = 0 }
#ifdef M_CLAIMNOBYTE
     :: atomic { S[ms].own != NONE -> ms = NONE }
     fi;
     if
     :: atomic { ms != NONE && S[ms].st != FREE -> S[ms].own = NONE; ms = NONE }
     :: ms == NONE || S[ms].st == FREE
#else
     :: atomic { S[ms].own != NONE -> assert(false) } /* one claimer at a time */
#endif
     fi
  :: atomic { ms != NONE && !IS(ms, k, g) -> ms = NONE }
  fi;
  atomic { if :: claimer == _pid -> claimer = NONE :: else fi; g = 0; k = 0 }
#endif
}
proctype Submitter(byte first; byte last) provided (ndead == 0 || dead[_pid]) {
  byte n = first, r, g, k, res, ms = NONE; bit mem;
endbegin:
  {
#ifndef NOPRE
    atomic { if :: n == first && _pid <= NS && S[_pid - 1].own == _pid -> ms = _pid - 1 :: else fi };
#endif
endsub:
    do
    :: atomic { n < last -> r = n; n++; cur[_pid] = r };
       if
       :: atomic { lock == NONE -> BEGIN_HOLD(); mem = 1 }; goto lead /* free: it leads at once */
       :: lock != NONE
       fi;
no_slot:
       if
       :: ms == NONE ->
          if
          :: atomic { lock == NONE -> BEGIN_HOLD(); mem = 1 }; goto lead /* it waited for the lock */
#ifndef CLAIMLOCKED
          :: lock != NONE -> CLAIM(); goto no_slot
#endif
          fi
       :: else
       fi;
       if
       :: atomic { S[ms].st == FREE || (S[ms].st != TAKEN && S[ms].gu == S[ms].gen) ->
            S[ms].rq = r; NEXT_GENERATION(ms); g = S[ms].gen; S[ms].st = FILLED }
       :: atomic { S[ms].st == TAKEN && lock == NONE -> BEGIN_HOLD(); mem = 1 }; goto lead /* given up, not answered yet */
       fi;
#ifdef M_TRYFIRST
       goto sleep;
#endif
wait:
       if
       :: atomic { IS(ms, ANSWERED, g) -> assert(S[ms].ar == r); res = S[ms].an; S[ms].st = FREE; TOLD(res) }; goto told
       :: atomic { else ->
#ifndef M_NOWAKEWORD
            S[ms].called = 0
#endif
          }
       fi;
       if
       :: atomic { lock == NONE -> BEGIN_HOLD() }; goto lead
       :: lock != NONE
       fi;
sleep:
#ifdef M_NOWAKEWORD
       if :: atomic { S[ms].st != ANSWERED -> S[ms].called = 0 } :: else fi; /* the futex is the state word */
#endif
       if
       :: S[ms].called || SLICE -> goto wait
#ifdef M_NOWAKEWORD
       :: IS(ms, ANSWERED, g) -> goto wait
#endif
       :: atomic { nto > 0 && !S[ms].called -> nto-- };
          if
          :: atomic { IS(ms, FILLED, g) -> S[ms].st = FREE; S[ms].called = 0; TOLD(ERR) }; /* busy */
#ifndef M_NOPASSON
             CALL_ONE();
#endif
             goto told
          :: else -> goto wait
          fi
       :: atomic { ngu > 0 && S[ms].st == TAKEN && lock != NONE -> ngu-- };
          atomic { S[ms].gu = g; gone = gone | BIT(r); cur[_pid] = NONE; r = 0; g = 0 };
          goto told
       fi;
lead:
#if NPOI > 0
       if
       :: atomic { npoi > 0 -> npoi-- }; /* it cannot lead: it takes its own request back, under the lock */
          if
          :: atomic { mem -> res = ERR }
#ifdef M_NOTAKEBACK
          :: atomic { !mem && S[ms].st == FILLED -> res = ERR; ms = NONE }
#else
          :: atomic { !mem && S[ms].st == FILLED -> S[ms].st = FREE; res = ERR }
#endif
          :: atomic { !mem && S[ms].st == TAKEN -> S[ms].gu = g; res = IO }
          :: atomic { !mem && S[ms].st == ANSWERED -> assert(S[ms].ar == r); res = S[ms].an; S[ms].st = FREE }
          fi;
          atomic { TOLD(res) };
#ifdef M_SWALLOW
          UNLOCK(0);
#else
          RELEASE(0);
#endif
          goto told
       :: skip
       fi;
#endif
       LEAD();
       if
       :: atomic { mem -> TOLD(res) }
       :: else -> goto wait
       fi;
told:  skip
    od
  } unless {
    atomic { dead[_pid] -> r = 0; g = 0; k = 0; res = 0; ms = NONE; mem = 0; ndead--; dead[_pid] = 0; goto endbegin }
  }
}

/* transact: it uses the lock and does not lead. */
proctype Direct(byte last) provided (ndead == 0 || dead[_pid]) {
  byte n, k;
endbegin:
  {
enddir:
    do
    :: n == 200 -> break /* never; keeps the label on the loop */
    :: atomic { n < last && lock == NONE -> BEGIN_HOLD() };
       RECOVER();
#if !defined(M_DIRECTNOSETTLE) && !defined(M_DIRECTSETTLELATE)
       SETTLE();
#endif
       atomic { bt = BIT(6 + n); n++ };
       COMMIT();
#ifdef M_DIRECTSETTLELATE
       SETTLE();
#endif
       RELEASE(1)
    od
  } unless {
    atomic { dead[_pid] -> k = 0; ndead--; dead[_pid] = 0; goto endbegin }
  }
}

/* ---- faults */
inline KILL(p) {
  dead[p] = 1; ndead++;
  if :: lock == p -> FORGET(); lock = NONE :: else fi;
  if :: claimer == p -> claimer = NONE :: else fi;
  if :: cur[p] != NONE -> gone = gone | BIT(cur[p]); cur[p] = NONE :: else fi;
  do
  :: x < NS -> if :: S[x].own == p -> S[x].own = NONE; S[x].called = 0 :: else fi; x++
  :: x == NS -> break
  od;
  x = 0
}
proctype Chaos() {
  byte x;
endc: do
  :: atomic { ndead == 0 && nkill > 0 && (cur[1] != NONE || lock == 1) -> nkill--; KILL(1) }
  :: atomic { ndead == 0 && nkill > 0 && (cur[2] != NONE || lock == 2) -> nkill--; KILL(2) }
  :: atomic { ndead == 0 && nkill > 0 && (cur[3] != NONE || lock == 3) -> nkill--; KILL(3) }
  :: atomic { ndead == 0 && nkill > 0 && lock == 4 -> nkill--; KILL(4) }
  :: atomic { ndead == 0 && npow > 0 -> npow--;
       KILL(1); KILL(2); KILL(3);
#if ND > 0
       KILL(4);
#endif
       if
       :: pend != 0 -> if :: pend = 0; nx-- :: dur = dur | pend; pend = 0 fi
       :: else
       fi;
       bad = 0; dirty = 1; lock = NONE; FORGET();
       do
       :: x < NS ->
          S[x].st = 0; S[x].gen = 0; S[x].gu = 0; S[x].mk = 0; S[x].an = 0; S[x].ar = 0; S[x].rq = 0; x++
       :: x == NS -> break
       od;
       x = 0;
       assert((said_ok & ~dur) == 0) /* I1 */ }
  od
}
init {
  atomic {
    i = 0; do :: i < 5 -> cur[i] = NONE; i++ :: else -> break od;
    i = 0;
    do
    :: i < NS ->
#ifdef NOPRE
       S[i].own = NONE;
#else
       S[i].own = i + 1;
#endif
       i++
    :: else -> break
    od;
    i = 0;
    run Submitter(0, R1); run Submitter(2, 2 + R2); run Submitter(4, 4 + R3);
#if ND > 0
    run Direct(ND);
#endif
#if NKILL + NPOW > 0
    run Chaos()
#endif
  }
}
