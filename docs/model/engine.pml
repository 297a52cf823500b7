/* The protocol of commit, redo, checkpoint and reads, as src/store/ has it. docs/model/README.md says what is modelled,
 * what each name stands for and what was found; tests/prove/model/runs lists the runs with their flags.
 *
 * SIZE    NC0 NC1 commits of writer 0 and 1, NCK checkpoints of writer 2, NOP0 NOP1 spontaneous recover() or open(),
 *         NRD0 reads by page id, NRD1 reads by memory id, LC batches that the log can hold
 * FAULTS  NKILL kills of whoever holds the lock, NPOW power cuts, NSTOP stops for ever of the holder, NWB write-backs of
 *         the shared words at any moment, EIO failing syncs of the log, PEIO failing syncs of pages.db, WIO failing
 *         page writes after the log is durable, FULL appends that a full disk cuts short, GROW growths of pages.db
 * SHAPE   ONLYRAW write_page in place; ONLYMEM update_memory, copy on write; BOTH: each batch does both; neither: either;
 *         RUN: page 1 is first a run of its own (A), then the inside of run B on pages 0 and 1 (operations 4..7)
 * M_*     a mutation: one rule left out
 */
#define FREE 9
#ifndef NC0
#define NC0 1
#endif
#ifndef NC1
#define NC1 1
#endif
#ifndef NCK
#define NCK 1
#endif
#ifndef NRD0
#define NRD0 1
#endif
#ifndef NRD1
#define NRD1 1
#endif
#ifndef NOP0
#define NOP0 0
#endif
#ifndef NOP1
#define NOP1 0
#endif
#ifndef NKILL
#define NKILL 0
#endif
#ifndef NPOW
#define NPOW 0
#endif
#ifndef NSTOP
#define NSTOP 0
#endif
#ifndef NWB
#define NWB 0
#endif
#ifndef EIO
#define EIO 0
#endif
#ifndef PEIO
#define PEIO 0
#endif
#ifndef WIO
#define WIO 0
#endif
#ifndef FULL
#define FULL 0
#endif
#ifndef GROW
#define GROW 0
#endif
#ifndef LC
#define LC 2
#endif

/* A page: run header {h LSN, k checksum, fr free}, payload a and b, directory entry {eh LSN, ef free}; q dirty.
 * k, a and b hold a ghost version, unique for each write, in commit order; so a mistake with LSNs shows. */
typedef Page { byte h; byte k; byte a; byte b; bit fr; byte eh; bit ef; bit q }
typedef Batch { byte e; byte n; byte v; byte op; byte st; bit q } /* st: 0 nothing, 1 torn, 2 complete */
typedef Slot { byte e; byte s; bit q }                            /* epoch (0: does not verify), start LSN */
typedef Words { bit hv; byte e; byte t; byte n; bit mark }        /* hint {valid, epoch, tail, next LSN}, R7's mark */

/* Upper case: what reads return (the page cache). Lower case: what the device has. */
Page P[3]; Page p[3];
Batch L[LC + 1]; Batch l[LC + 1];
Slot H[2]; Slot h[2];
Words W; Words w;
byte idx;                           /* id index: the page of memory M; 0: does not fit, after a power cut */
byte lock = FREE; byte stp = FREE;  /* the holder; the process that is stopped for ever */
bit dead[5]; byte ndead;            /* killed, and not yet at its beginning again */
bit up = 1;                         /* somebody has opened the store since the last power cut */
byte committed = 1;                  /* the LSN up to which all is visible */
byte poison;                        /* poison generation */
byte nkill = NKILL; byte npow = NPOW; byte nstop = NSTOP; byte nwb = NWB; byte eio = EIO; byte peio = PEIO;
byte wio = WIO; byte short_append = FULL; byte ngrow = GROW;
/* Ghosts: last version given out; acknowledged and shown, of the raw page (or run) and of M; highest LSN in a page. */
byte gv = 1; byte ack_r = 1; byte ack_m = 1; byte shown_r = 1; byte shown_m = 1; byte max_lsn = 1;

#define STOPPED (stp != FREE)
#define MAX(x, y) ((x) > (y) -> (x) : (y))
#define COPY_BATCH(x, y) x.e = y.e; x.n = y.n; x.v = y.v; x.op = y.op; x.st = y.st
#define COPY_SLOT(x, y) x.e = y.e; x.s = y.s
#define COPY_RUN(x, y) x.h = y.h; x.k = y.k; x.a = y.a; x.b = y.b; x.fr = y.fr
#define COPY_ENTRY(x, y) x.eh = y.eh; x.ef = y.ef
#define COPY_WORDS(x, y) x.hv = y.hv; x.e = y.e; x.t = y.t; x.n = y.n; x.mark = y.mark
#define BATCH_DIFFERS(i) (L[i].e != l[i].e || L[i].n != l[i].n || L[i].v != l[i].v || L[i].st != l[i].st || L[i].op != l[i].op)
#define SLOT_DIFFERS(i) (H[i].e != h[i].e || H[i].s != h[i].s)
#define RUN_DIFFERS(i) (P[i].h != p[i].h || P[i].k != p[i].k || P[i].a != p[i].a || P[i].b != p[i].b || P[i].fr != p[i].fr)
#define ENTRY_DIFFERS(i) (P[i].eh != p[i].eh || P[i].ef != p[i].ef)
#define COMPLETE(i) (i < LC && L[i].st == 2 && L[i].e == ep && L[i].n == nx)
#define STILL_THERE(i) (L[i].st == 2 && L[i].e == ep)
#ifdef RUN
#define VALID(x) (P[x].fr || (P[x].h > 0 && P[x].a == P[x].k && \
                 ((x == 1 && P[1].b == P[1].k) || (x == 0 && P[1].b == P[0].k && P[1].h == 0))))
#else
#define VALID(x) (P[x].fr || (P[x].h > 0 && P[x].a == P[x].k && P[x].b == P[x].k))
#endif
#define OWN assert(lock == me) /* I6 */

/* R4: a later batch of the chain, which ends before `end`, covers the same pages. */
#if defined(BOTH) || defined(RUN)
#define SAME(i, j) 1
#else
#define SAME(i, j) ((L[i].op == 0) == (L[j].op == 0))
#endif
#ifdef M_SUPERSEDED
#define LATER(i) 0
#define LATER_B(i) 0
#else
#if LC > 2
#define LATER(i) ((i + 1 < end && SAME(i, i + 1)) || (i + 2 < end && SAME(i, i + 2)))
#define LATER_B(i) ((i + 1 < end && L[i + 1].op >= 6) || (i + 2 < end && L[i + 2].op >= 6))
#else
#define LATER(i) (i + 1 < end && SAME(i, i + 1))
#define LATER_B(i) (i + 1 < end && L[i + 1].op >= 6)
#endif
#endif

inline TAKE_LOCK() {
  if
  :: atomic { lock == FREE && ndead == 0 -> lock = me; READ_SLOTS() }
  :: atomic { STOPPED -> goto quit } /* lock_timeout: busy */
  fi
}
inline UNLOCK() {
  atomic { if :: lock == me -> lock = FREE :: else fi;
    ep = 0; sl = 0; nx = 0; tail = 0; end = 0; i = 0; rn = 0; rv = 0; rp = 0; proven = 0; force = 0; had = 0; start = 0; call = 0 }
}
inline READ_SLOTS() {
  if :: H[1].e > H[0].e -> sl = 1 :: else -> sl = 0 fi;
  ep = H[sl].e; nx = H[sl].s; tail = 0;
  assert(ep > 0) /* a slot that verifies is there, always */
}
/* A failed sync leaves the block clean and not on the device. */
inline SYNC_BATCH(x) {
  if
  :: atomic { eio > 0 && L[x].q -> eio--; L[x].q = 0 };
#ifdef M_RETRYSYNC
     skip /* the second sync finds nothing to write and says that all is well */
#else
     atomic { OWN; poison++; opn = 0 }; UNLOCK(); goto endtop
#endif
  :: atomic { if :: L[x].q -> COPY_BATCH(l[x], L[x]); L[x].q = 0 :: else fi }
  fi
}
inline SYNC_SLOT(x) {
  if
  :: atomic { eio > 0 && H[x].q -> eio--; H[x].q = 0 }; atomic { OWN; poison++; opn = 0 }; UNLOCK(); goto endtop
  :: atomic { if :: H[x].q -> COPY_SLOT(h[x], H[x]); H[x].q = 0 :: else fi }
  fi
}
inline ENSURE_SLOT_DURABLE() { /* R1 */
  if
  :: kd != ep -> atomic { OWN; H[sl].e = ep; H[sl].s = start; H[sl].q = 1 }; SYNC_SLOT(sl); kd = ep
  :: else
  fi
}
inline INVALIDATE_HINT() { atomic { OWN; W.hv = 0 } }
inline PUBLISH(new_epoch, new_tail, new_next) {
  committed = new_next - 1;
#ifdef M_TORNHINT
  atomic { OWN; W.hv = 1; W.e = new_epoch; W.t = new_tail }; atomic { W.n = new_next } /* R9 left out: no check over all words */
#else
  atomic { OWN; W.hv = 1; W.e = new_epoch; W.t = new_tail; W.n = new_next } /* R9: the check is stored last; until then it is invalid */
#endif
}

/* ---- apply.cpp. `force`: a commit, or R7's rewrite; else what is current stays. */
#ifdef M_NOLSN
#define RUN_CURRENT(x) 0
#define ENTRY_CURRENT(x) 0
#else
#define RUN_CURRENT(x) (!force && VALID(x) && P[x].h >= rn)
#define ENTRY_CURRENT(x) (!force && P[x].eh >= rn)
#endif
inline PUT_PAGE(x) { /* R6: run and entry each on its own */
  if
  :: RUN_CURRENT(x)
  :: else ->
     atomic { OWN; P[x].h = rn; P[x].k = rv; P[x].fr = 0; P[x].q = 1; max_lsn = MAX(max_lsn, rn) };
     atomic { P[x].a = rv; P[x].q = 1 };
     atomic { P[x].b = rv; P[x].q = 1 }
  fi;
  if
  :: ENTRY_CURRENT(x)
  :: else -> atomic { OWN; P[x].eh = rn; P[x].ef = 0; P[x].q = 1 }
  fi
}
inline FREE_PAGE(x) { /* R6 */
  if
  :: ENTRY_CURRENT(x)
  :: else -> atomic { OWN; P[x].eh = rn; P[x].ef = 1; P[x].q = 1 }
  fi;
  if
  :: RUN_CURRENT(x)
  :: else -> atomic { OWN; P[x].h = rn; P[x].k = rv; P[x].fr = 1; P[x].q = 1 }
  fi
}
inline PUTS(x) {
  atomic { rn = L[x].n; rv = L[x].v; rp = L[x].op };
#ifdef RUN
  if
  :: LATER(x) || rp == 5 || rp == 7
  :: else ->
     if
     :: rp == 4 ->
        if
        :: atomic { RUN_CURRENT(1) }
        :: else -> atomic { OWN; P[1].h = rn; P[1].k = rv; P[1].fr = 0; P[1].q = 1; max_lsn = MAX(max_lsn, rn) };
                   atomic { P[1].a = rv }; atomic { P[1].b = rv; P[1].q = 1 }
        fi
     :: rp == 6 ->
        if
        :: atomic { RUN_CURRENT(0) }
        :: else -> atomic { OWN; P[0].h = rn; P[0].k = rv; P[0].fr = 0; P[0].q = 1; max_lsn = MAX(max_lsn, rn) };
                   atomic { P[0].a = rv };
                   atomic { P[1].h = 0; P[1].k = 0; P[1].fr = 0; P[1].a = 0; P[1].b = rv; P[0].q = 1; P[1].q = 1 }
        fi
     fi
  fi
#else
  if
  :: LATER(x)
  :: else ->
#ifdef BOTH
     PUT_PAGE(0);
#endif
#ifdef M_REDOSTOP
     if :: rp != 0 && !force && VALID(rp) && P[rp].h >= rn -> rp = 3 :: else fi; /* R6 left out: the run stands for all */
     if :: rp == 3 :: else -> PUT_PAGE(rp) fi
#else
     PUT_PAGE(rp)
#endif
  fi
#endif
}
inline INDEX_SET(x) {
#ifndef RUN
  atomic {
    rp = L[x].op; rn = L[x].n;
    if
    :: LATER(x) || rp == 0
#ifdef M_REDOSTOP
    :: !force && rp != 0 && !LATER(x) && idx != 0
#endif
    :: else -> OWN; idx = rp
    fi
  }
#else
  skip
#endif
}
inline FREES(x) {
  atomic { rn = L[x].n; rv = L[x].v; rp = L[x].op };
#ifdef RUN
  if
  :: rp == 5 && !LATER(x) -> if :: RUN_CURRENT(1) :: else -> atomic { OWN; P[1].h = rn; P[1].k = rv; P[1].fr = 1; P[1].q = 1 } fi
  :: rp == 7 -> /* the part of the run that nothing later covers */
     if :: LATER(x) || RUN_CURRENT(1) :: else -> atomic { OWN; P[1].h = rn; P[1].k = rv; P[1].fr = 1; P[1].q = 1 } fi;
     if :: LATER_B(x) || RUN_CURRENT(0) :: else -> atomic { OWN; P[0].h = rn; P[0].k = rv; P[0].fr = 1; P[0].q = 1 } fi
  :: else
  fi
#else
  if
  :: LATER(x) || rp == 0
#ifdef M_REDOSTOP
  :: !force && rp != 0 && !LATER(x)
#endif
  :: else -> FREE_PAGE(3 - rp)
  fi
#endif
}
inline REBUILD_INDEX() { /* the newest live entry of the id */
  atomic {
    if
    :: idx == 0 -> if :: !P[1].ef && (P[2].ef || P[1].eh > P[2].eh) -> idx = 1 :: else -> idx = 2 fi
    :: else
    fi
  }
}

/* ---- redo.cpp */
inline REDO() {
  atomic {
    READ_SLOTS(); start = nx;
    do :: COMPLETE(tail) -> tail++; nx++ :: else -> break od;
    end = tail;
    proven = (W.hv && W.e == ep && W.t == tail && W.n == nx);
    /* The proofs of damage (check_log_is_whole) never speak up: no fault of this model damages synced bytes. */
    assert(!(W.hv && (W.e > ep || (W.e == ep && W.n > nx))));
    i = tail;
    do
    :: i < LC -> assert(!(L[i].st == 2 && L[i].e == ep && L[i].n > nx)); i++
    :: else -> break
    od;
    i = 0
  };
#ifndef M_REDONOINVALIDATE
  INVALIDATE_HINT();
#endif
  if
  :: proven
  :: else ->
#ifndef M_ADOPTNOSLOT
     ENSURE_SLOT_DURABLE();
#endif
     if
     :: end > 0 -> /* R2, ADR 4: only the last batch can be unsynced */
#ifdef M_ADOPTFIRST
        i = 0;
#else
        i = end - 1;
#endif
        if
        :: atomic { !STILL_THERE(i) -> opn = 0 }; UNLOCK(); goto endtop /* evicted: an error, the hint stays invalid */
        :: atomic { STILL_THERE(i) -> /* read into memory, verified, and written from there */
#ifndef M_ADOPTNOREWRITE
             OWN; if :: BATCH_DIFFERS(i) -> L[i].q = 1 :: else fi
#endif
           };
#ifndef M_ADOPTNOSYNC
           SYNC_BATCH(i)
#else
           skip
#endif
        fi
     :: else
     fi
  fi;
#ifdef M_NOMARK
  force = 0;
#else
  force = W.mark; /* R7: rewrite */
#endif
  i = 0; do :: i < end -> PUTS(i); i++ :: else -> break od;
#ifndef RUN
  REBUILD_INDEX();
#endif
  i = 0; do :: i < end -> INDEX_SET(i); i++ :: else -> break od;
  i = 0; do :: i < end -> FREES(i); i++ :: else -> break od;
  atomic { i = 0; end = 0; force = 0; proven = 0; rn = 0; rv = 0; rp = 0 };
  CHECK();
  PUBLISH(ep, tail, nx)
}
/* What must hold when a redo is done, the lock held. */
inline CHECK() {
  atomic {
    assert(VALID(0));
    assert(P[0].k >= ack_r && P[0].k >= shown_r); /* I1, I3 */
#ifndef RUN
    assert(P[0].eh == P[0].h && !P[0].ef);
    assert(idx != 0 && VALID(idx) && !P[idx].fr && !P[idx].ef && P[idx].eh == P[idx].h);
    assert(P[idx].k >= ack_m && P[idx].k >= shown_m); /* I1, I3 */
    assert(P[3 - idx].fr && P[3 - idx].ef);           /* one live version */
#ifdef BOTH
    assert(P[0].k == P[idx].k); /* I2 */
#endif
#endif
  }
}

/* ---- commit.cpp */
inline ACK() {
  atomic {
#ifdef RUN
    if :: rp >= 6 -> ack_r = rv :: else fi
#else
    if :: rp == 0 -> ack_r = rv :: else -> ack_m = rv fi
#ifdef BOTH
    ; ack_r = rv
#endif
#endif
  }
}
inline COMMIT() {
#if GROW > 0
  if
  :: atomic { peio > 0 -> OWN; W.mark = 1 }; /* a failed growth of the log: R7 as in SYNC_PAGES */
#if !defined(M_KEEPHINT) && !defined(M_HINTLATE)
     INVALIDATE_HINT();
#endif
     atomic { peio--; P[0].q = 0; P[1].q = 0; P[2].q = 0 };
#ifdef M_HINTLATE
     INVALIDATE_HINT();
#endif
     UNLOCK(); goto endtop
  :: skip
  fi;
  if :: ngrow > 0 -> ngrow--; SYNC_PAGES(0) :: ngrow > 0 :: ngrow == 0 fi; /* before the log mentions the new pages */
#endif
  if
  :: tail >= LC /* full log: given up, nothing changed */
  :: else ->
#ifndef M_SLOTNOSYNC
     ENSURE_SLOT_DURABLE(); /* R1 */
#endif
#ifndef M_NOINVALIDATE
     INVALIDATE_HINT(); /* ADR 3: before the append */
#endif
     atomic {
       gv++; rv = gv; rn = nx;
#ifdef RUN
       if
       :: !P[1].fr && P[1].h > 0 -> rp = 5
       :: P[1].h == 0 -> rp = 7
       :: P[1].fr -> if :: rp = 4 :: rp = 6 fi
       fi;
#else
#ifdef ONLYRAW
       rp = 0;
#else
#if defined(ONLYMEM) || defined(BOTH)
       rp = 3 - idx;
#else
       if :: rp = 0 :: rp = 3 - idx fi;
#endif
#endif
#endif
       assert(rn > max_lsn); /* I8 */
       OWN; L[tail].e = ep; L[tail].n = rn; L[tail].v = rv; L[tail].op = rp; L[tail].st = 1; L[tail].q = 1
     };
#if FULL > 0
     if :: short_append > 0 -> short_append--; UNLOCK(); goto endtop :: short_append > 0 :: short_append == 0 fi; /* torn end, engine goes on */
#endif
     atomic { OWN; L[tail].st = 2; L[tail].q = 1; end = tail + 1; force = 1 };
#ifdef M_ACKFIRST
     ACK();
#endif
#ifdef M_PUBFIRST
     PUTS(tail); INDEX_SET(tail); FREES(tail);
#endif
     SYNC_BATCH(tail);
#ifdef M_HINTFIRST
     PUBLISH(ep, tail + 1, nx + 1);
#endif
#ifdef M_UNLOCKEARLY
     PUBLISH(ep, tail + 1, nx + 1); lock = FREE;
#endif
     PUTS(tail);
#if WIO > 0
     if
     :: wio > 0 -> wio--; /* R10: durable, not yet visible: no acknowledgement, and the hint does not move past it */
#ifdef M_HINTANYWAY
        PUBLISH(ep, tail + 1, nx + 1);
#endif
        UNLOCK(); goto endtop
     :: wio > 0
     :: wio == 0
     fi;
#endif
#ifdef M_FREEFIRST
     FREES(tail); INDEX_SET(tail);
#else
     INDEX_SET(tail); FREES(tail); /* I3, I5: the id always leads to a live run */
#endif
#ifndef M_UNLOCKEARLY
     PUBLISH(ep, tail + 1, nx + 1);
#endif
#ifndef M_ACKFIRST
     ACK()
#endif
  fi
}

/* ---- page_file.cpp, checkpoint.cpp. `rewritten` 0: a growth, which must not clear the mark of an earlier failure. */
inline SYNC_PAGES(rewritten) {
#ifdef M_GROWCLEARS
  force = 0;
#else
  force = (W.mark && !rewritten);
#endif
#if !defined(M_NOMARK) && !defined(M_MARKLATE)
  atomic { OWN; W.mark = 1 }; /* R7: announced first, cleared only by success */
#endif
  had = W.hv;
#if !defined(M_KEEPHINT) && !defined(M_HINTLATE)
  INVALIDATE_HINT(); /* R7: pages may go back to what the device has, so nobody builds on them unseen */
#endif
  if
  :: atomic { peio > 0 -> peio--; P[0].q = 0; P[1].q = 0; P[2].q = 0 };
#ifdef M_MARKLATE
     atomic { OWN; W.mark = 1 };
#endif
#ifdef M_HINTLATE
     INVALIDATE_HINT();
#endif
     UNLOCK(); goto endtop
  :: atomic { i = 0;
       do
       :: i < 3 -> if :: P[i].q -> COPY_RUN(p[i], P[i]); COPY_ENTRY(p[i], P[i]); P[i].q = 0 :: else fi; i++
       :: else -> break
       od;
       i = 0; COPY_WORDS(w, W) };
     atomic { OWN; W.mark = force; force = 0 };
     atomic { OWN; W.hv = had; had = 0 }
  fi
}
inline CHECKPOINT() {
  if
  :: tail == 0 && !W.mark
  :: else ->
#ifndef M_RESETFIRST
     SYNC_PAGES(1); /* I7 */
#endif
     if
     :: tail == 0
     :: else ->
#ifndef M_CKPTSLOTNOSYNC
        ENSURE_SLOT_DURABLE(); /* R1: the slot that stays, should the next one be torn */
#endif
#ifndef M_CKPTNOINVALIDATE
        INVALIDATE_HINT();
#endif
#ifdef M_ONESLOT
        atomic { OWN; H[sl].e = ep + 1; H[sl].s = nx; H[sl].q = 1 }; SYNC_SLOT(sl);
#else
        atomic { OWN; H[1 - sl].e = ep + 1; H[1 - sl].q = 1;
#ifdef M_LSNRESTART
          nx = 2;
#endif
          H[1 - sl].s = nx /* I8 */ };
        SYNC_SLOT(1 - sl);
#endif
        kd = ep + 1;
#ifdef M_RESETFIRST
        SYNC_PAGES(1);
#endif
        PUBLISH(ep + 1, 0, nx)
     fi
  fi
}

/* ---- store.cpp, store_open.cpp: the lock, the poison, R3, R5. Redo stands here once, for all calls. */
#ifdef M_SKIPPROBE
#define HINT_VALID 1 /* R5 left out: an invalid hint is believed */
#else
#define HINT_VALID W.hv
#endif
#ifdef M_TRUSTHINT
#define MAY_USE_HINT 1 /* R3 left out */
#else
#define MAY_USE_HINT (call != 1)
#endif
#ifdef M_CKPTNOPROBE
#define NO_LOOK (call == 3) /* R5 left out for the checkpointer */
#else
#define NO_LOOK 0
#endif
#if defined(M_NOMARK) || defined(M_CKTRUSTS)
#define REWRITE_FIRST 0
#else
#define REWRITE_FIRST (call == 3 && W.mark) /* R7 */
#endif
inline ACQUIRE() {
  TAKE_LOCK();
  if :: call != 1 && poison != gen -> opn = 0; UNLOCK(); goto endtop :: else fi;
  if
  :: atomic { NO_LOOK -> tail = W.t; nx = W.n; start = H[sl].s }
  :: atomic { !NO_LOOK && MAY_USE_HINT && HINT_VALID && W.e == ep && !REWRITE_FIRST -> /* R5: the last holder finished */
       tail = W.t; nx = W.n; start = H[sl].s;
       if :: idx == 0 -> idx = (!P[1].ef && (P[2].ef || P[1].eh > P[2].eh) -> 1 : 2) :: else fi };
     CHECK()
  :: else -> REDO() /* R3 */
  fi
}
proctype Engine(byte me; byte nc; byte nk; byte no) {
  byte ep, sl, nx, tail, kd, i, rn, rv, rp, end, start, gen, call; bit proven, force, had; bit opn = 1;
endtop:
  {
endw: do
    :: atomic {
         if
         :: !opn && (nc > 0 || nk > 0 || !up) -> call = 1
         :: opn && no > 0 -> no--; call = 1
         :: opn && nc > 0 -> nc--; call = 2
         :: opn && nk > 0 -> nk--; call = 3
         fi };
       ACQUIRE();
       if
       :: call == 1 -> atomic { up = 1; gen = poison; opn = 1 }
       :: call == 2 -> COMMIT()
       :: call == 3 -> CHECKPOINT()
       fi;
       UNLOCK()
    od
  } unless {
    if
    :: atomic { dead[me] -> dead[me] = 0; ndead--; ep = 0; sl = 0; nx = 0; tail = 0; kd = 0; i = 0; rn = 0; rv = 0;
         rp = 0; end = 0; start = 0; call = 0; gen = 0; proven = 0; force = 0; opn = 0; goto endtop }
    :: stp == me -> goto halt
    fi
  };
halt:
endh: false;
quit:
endq: false
}

#if NRD0 > 0
proctype ReadPage(byte me; byte nr) { /* read_page(PageId 0), or of run B */
  byte ep, sl, nx, tail, kd, i, rn, rv, rp, end, start, gen, call; bit proven, force, had; bit opn = 1;
  byte lo, h1, k1, a1, b1, e1, t;
endtop:
  {
endr: do
    :: nr == 200 -> goto quit /* never; keeps the label on the loop */
    :: atomic { nr > 0 && up && ndead == 0 -> nr--; lo = MAX(ack_r, shown_r); t = 0; gen = poison };
       do
       :: atomic { up && ndead == 0 -> e1 = P[0].eh };
          atomic { h1 = P[0].h; k1 = P[0].k };
#ifdef RUN
          if
          :: atomic { P[0].fr && h1 == P[0].h -> assert(k1 >= lo) }; goto got
          :: else
          fi;
#endif
          a1 = P[0].a;
#ifdef RUN
          atomic { b1 = P[1].b; if :: P[1].h != 0 -> b1 = 0 :: else fi };
#else
          b1 = P[0].b;
#endif
          if
#ifdef M_NOVERIFY
          :: h1 == P[0].h -> assert(a1 == k1 && b1 == k1); goto got /* compares LSNs instead of a checksum */
#else
#ifdef RUN
          :: h1 > 0 && a1 == k1 && b1 == k1 -> assert(k1 >= lo); goto got
#else
          :: h1 >= e1 && a1 == k1 && b1 == k1 -> assert(k1 >= lo); goto got /* I3, I4 */
#endif
#endif
          :: else
          fi;
          if
          :: t < 1 -> atomic { t++; h1 = 0; k1 = 0; a1 = 0; b1 = 0; e1 = 0 }
          :: else -> break
          fi
       od;
       /* heal: the exception of I5 */
       ACQUIRE();
       atomic { assert(VALID(0)); k1 = P[0].k; assert(k1 >= lo) }; /* no false `corruption` */
       UNLOCK();
got:   atomic { shown_r = MAX(shown_r, k1) };
       atomic { h1 = 0; k1 = 0; a1 = 0; b1 = 0; e1 = 0; lo = 0; t = 0; gen = 0; start = 0; kd = 0; opn = 1 }
    od
  } unless {
    if
    :: atomic { dead[me] -> dead[me] = 0; ndead--; ep = 0; sl = 0; nx = 0; tail = 0; kd = 0; i = 0; rn = 0; rv = 0;
         rp = 0; end = 0; start = 0; gen = 0; proven = 0; force = 0; opn = 1;
         lo = 0; h1 = 0; k1 = 0; a1 = 0; b1 = 0; e1 = 0; t = 0; goto endtop }
    :: stp == me -> goto halt
    fi
  };
halt:
endh: false;
quit:
endq: false
}

#endif
#if NRD1 > 0
proctype ReadMemory(byte me; byte nr) { /* load_memory(MemoryId M): no lock, ever */
  byte lo, x, h1, k1, a1, b1, com; bit f1, s0;
endtop:
  {
endr: do
    :: nr == 200 -> goto quit
    :: atomic { nr > 0 && up && ndead == 0 -> nr--; lo = MAX(ack_m, shown_m) };
       do
       :: atomic { up && ndead == 0 -> s0 = STOPPED; com = committed };
          x = idx;
          atomic { h1 = P[x].h; k1 = P[x].k; f1 = P[x].fr };
          if
          :: f1 ->
             a1 = k1; b1 = k1
          :: else ->
             a1 = P[x].a;
             b1 = P[x].b
          fi;
          if
#ifdef M_NORECHECK
          :: a1 == k1 && b1 == k1 -> assert(!f1 && k1 >= lo); break /* R8 left out */
#else
          :: atomic { !f1 && a1 == k1 && b1 == k1 && idx == x } -> assert(k1 >= lo); break /* R8 */
#ifdef M_MISSUNCHECKED
          :: atomic { f1 && idx == x -> assert(false) }
#else
          :: atomic { f1 && idx == x && committed == com -> assert(false) } /* R8 for a miss: never a false not_found */
#endif
#endif
          :: else
          fi;
          atomic { assert(!s0); h1 = 0; k1 = 0; a1 = 0; b1 = 0; f1 = 0; com = 0; x = 0 } /* I5: begun after the stop, it succeeds */
       od;
       atomic { shown_m = MAX(shown_m, k1); h1 = 0; k1 = 0; a1 = 0; b1 = 0; f1 = 0; lo = 0; x = 0; com = 0; s0 = 0 }
    od
  } unless { atomic { dead[me] -> dead[me] = 0; ndead--; h1 = 0; k1 = 0; a1 = 0; b1 = 0; f1 = 0; lo = 0; x = 0; com = 0; s0 = 0; goto endtop } };
quit:
endq: false
}

#endif

/* ---- faults */
inline CUT_PAGE(x) {
  if
  :: RUN_DIFFERS(x) ->
     if
     :: COPY_RUN(P[x], p[x])                                         /* lost */
     :: skip                                                         /* kept */
     :: P[x].a = p[x].a; P[x].b = p[x].b                             /* header kept */
     :: P[x].h = p[x].h; P[x].k = p[x].k; P[x].fr = p[x].fr          /* payload kept */
     fi;
     COPY_RUN(p[x], P[x])
  :: else
  fi;
#ifndef RUN
  if
  :: ENTRY_DIFFERS(x) -> if :: COPY_ENTRY(P[x], p[x]) :: skip fi; COPY_ENTRY(p[x], P[x])
  :: else
  fi;
#endif
  P[x].q = 0
}
inline CUT_BATCH(x) {
  if
  :: BATCH_DIFFERS(x) -> if :: COPY_BATCH(L[x], l[x]) :: skip :: L[x].st = 1 fi; COPY_BATCH(l[x], L[x])
  :: else
  fi;
  L[x].q = 0
}
inline CUT_SLOT(x) {
  if
  :: SLOT_DIFFERS(x) -> if :: COPY_SLOT(H[x], h[x]) :: skip :: H[x].e = 0; H[x].s = 0 fi; COPY_SLOT(h[x], H[x])
  :: else
  fi;
  H[x].q = 0
}
proctype Chaos() {
endc: do
  :: atomic { nkill > 0 && lock != FREE && !STOPPED -> nkill--; dead[lock] = 1; ndead++; lock = FREE }
  :: atomic { npow > 0 && !STOPPED -> npow--;
       CUT_PAGE(0); CUT_PAGE(1); CUT_PAGE(2);
       CUT_BATCH(0); CUT_BATCH(1);
#if LC > 2
       CUT_BATCH(2);
#endif
       CUT_SLOT(0); CUT_SLOT(1);
       if :: COPY_WORDS(W, w) :: COPY_WORDS(w, W) fi;
       idx = 0; lock = FREE; up = 0; poison = 0;
       ndead = 3; dead[0] = 1; dead[1] = 1; dead[2] = 1;
       if :: NRD0 > 0 -> dead[3] = 1; ndead++ :: else fi; if :: NRD1 > 0 -> dead[4] = 1; ndead++ :: else fi }
  :: atomic { nstop > 0 && lock != FREE -> nstop--; stp = lock }
#if NWB > 0
  :: atomic { nwb > 0 -> nwb--; COPY_WORDS(w, W) }
#endif
#if EIO > 0
  /* Clean after a failed sync, then evicted: the next read comes from the device. */
  :: atomic { !L[0].q && BATCH_DIFFERS(0) -> COPY_BATCH(L[0], l[0]) }
  :: atomic { !L[1].q && BATCH_DIFFERS(1) -> COPY_BATCH(L[1], l[1]) }
  :: atomic { !H[0].q && SLOT_DIFFERS(0) -> COPY_SLOT(H[0], h[0]) }
  :: atomic { !H[1].q && SLOT_DIFFERS(1) -> COPY_SLOT(H[1], h[1]) }
#endif
#ifdef EVICT
  /* The same for a page, after a failed sync of pages.db. */
  :: atomic { W.mark && !P[0].q && (RUN_DIFFERS(0) || ENTRY_DIFFERS(0)) -> COPY_RUN(P[0], p[0]); COPY_ENTRY(P[0], p[0]) }
#endif
  od
}
init {
  atomic {
    P[0].h = 1; P[0].k = 1; P[0].a = 1; P[0].b = 1; P[0].eh = 1;
    P[1].h = 1; P[1].k = 1; P[1].a = 1; P[1].b = 1; P[1].eh = 1;
    P[2].fr = 1; P[2].ef = 1; idx = 1;
#ifdef RUN
    P[0].fr = 1; P[1].fr = 1;
#endif
    COPY_RUN(p[0], P[0]); COPY_RUN(p[1], P[1]); COPY_RUN(p[2], P[2]);
    COPY_ENTRY(p[0], P[0]); COPY_ENTRY(p[1], P[1]); COPY_ENTRY(p[2], P[2]);
    H[0].e = 1; H[0].s = 2; COPY_SLOT(h[0], H[0]);
    W.hv = 1; W.e = 1; W.t = 0; W.n = 2; COPY_WORDS(w, W);
    run Engine(0, NC0, 0, NOP0); run Engine(1, NC1, 0, NOP1); run Engine(2, 0, NCK, 0);
#if NRD0 > 0
    run ReadPage(3, NRD0);
#endif
#if NRD1 > 0
    run ReadMemory(4, NRD1);
#endif
    run Chaos()
  }
}
