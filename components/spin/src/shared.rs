//! Requests of one instance that share one statement: whoever finds none under way asks for all that wait.
//!
//! Nobody waits for others to come: a request that finds no statement under way starts one at once, and those that come meanwhile are
//! the next one's. Only where other instances want the same lock does a statement with few rows rest after the last one: whoever has
//! the lock finds it free again while all others sleep, and would keep it from them for one row, again and again, while theirs pile up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use countersign_core::store::StoreFault;
use spin_sdk::wasip3::{clocks::monotonic_clock, wit_stream};
use spin_sdk::wit_bindgen::StreamWriter;

/// Questions that one statement answers at the most: as many as Spin lets an instance serve at a time, less one:
/// the row that asks for their partner's quota makes sixteen.
pub(crate) const QUESTIONS_MAX: usize = 15;

/// With so many questions a statement does not rest.
pub(crate) const COMPANY: usize = 4;

/// The rest after a statement.
pub(crate) const REST: Duration = Duration::from_millis(5);

/// A statement that took so long has waited for others, for SQLite looks for its lock again after 1 ms (or its disk is slow: then fewer
/// and longer statements are right as well).
pub(crate) const CONTENDED: Duration = Duration::from_millis(1);

/// For so long after it others are taken to want the lock.
pub(crate) const CONTENTION: Duration = Duration::from_millis(100);

/// How often a statement that finds the database locked is run in all, each time with the questions that came meanwhile. SQLite itself
/// waits 3 ms each time (`LOCK_WAIT`), so these are some 5 s.
pub(crate) const TRIES_MAX: u32 = 200;

/// The first tries follow at once, or after a rest where few wait. A lock that lasts longer is no neighbour's commit, and is asked for
/// less often.
pub(crate) const TRIES_AT_ONCE: u32 = 60;
const BETWEEN_TRIES: Duration = Duration::from_millis(30);

/// What the requests of an instance need of their host to share: to wake each other, and to wait.
pub trait Tasks {
    /// Wakes who waits for it when it is dropped.
    type Bell;

    /// A bell, and the wait for it.
    fn pair() -> (Self::Bell, impl Future<Output = ()>);

    /// The time since an instant that stays the same.
    fn now() -> Duration;

    /// Waits.
    fn sleep(time: Duration) -> impl Future<Output = ()>;
}

/// The tasks of a component. A bell is a stream that ends when its writer is dropped.
///
/// A `Waker` of another request's task panics: wit-bindgen 0.57 has those only with its feature `inter-task-wakeup`, and with that
/// its tasks trap on wasmtime 48 at their next wait. The end of a stream is an event of the host, which knows whose it is.
#[derive(Debug)]
pub struct OfComponent;

impl Tasks for OfComponent {
    type Bell = StreamWriter<u8>;

    fn pair() -> (Self::Bell, impl Future<Output = ()>) {
        let (bell, mut sound) = wit_stream::new();
        (bell, async move {
            // Nothing is ever written.
            _ = sound.next().await;
        })
    }

    fn now() -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    async fn sleep(time: Duration) {
        spin_sdk::time::sleep(time).await;
    }
}

/// The questions that wait, and whether a statement is under way.
pub(crate) struct Shared<Q, A, S: Tasks = OfComponent> {
    waiting: RefCell<VecDeque<Rc<Turn<Q, A, S>>>>,
    is_under_way: Cell<bool>,
    /// Until then a statement rests that has little company.
    rests_until: Cell<Duration>,
    /// Until then others are taken to want the lock.
    contended_until: Cell<Duration>,
}

/// A request's question, and in the end its answer.
struct Turn<Q, A, S: Tasks> {
    question: Cell<Option<Q>>,
    answer: Cell<Option<Result<A, StoreFault>>>,
    bell: Cell<Option<S::Bell>>,
}

impl<Q, A, S: Tasks> Shared<Q, A, S> {
    /// Nothing waits.
    pub(crate) const fn new() -> Self {
        Self {
            waiting: RefCell::new(VecDeque::new()),
            is_under_way: Cell::new(false),
            rests_until: Cell::new(Duration::ZERO),
            contended_until: Cell::new(Duration::ZERO),
        }
    }

    /// The answer to a question, from a statement that may answer others too. `statement` is given the questions, at the most
    /// [`QUESTIONS_MAX`], and gives their answers in the same order.
    ///
    /// # Errors
    /// What the statement met, to all who share it. [`StoreFault::Unavailable`] where the request that ran it is gone: whether
    /// the statement took effect is not known then.
    pub(crate) async fn ask(
        &self,
        question: Q,
        statement: impl AsyncFn(&[Q]) -> Result<Vec<A>, StoreFault>,
    ) -> Result<A, StoreFault> {
        let turn = Rc::new(Turn {
            question: Cell::new(Some(question)),
            answer: Cell::new(None),
            bell: Cell::new(None),
        });
        self.waiting.borrow_mut().push_back(Rc::clone(&turn));
        let _place = Place { shared: self, turn: &turn };
        loop {
            if let Some(answer) = turn.answer.take() {
                return answer;
            }
            if self.is_under_way.get() {
                let (bell, sound) = S::pair();
                turn.bell.set(Some(bell));
                sound.await;
            } else {
                self.lead(&statement).await;
            }
        }
    }

    /// Answers the first of those that wait.
    async fn lead(&self, statement: &impl AsyncFn(&[Q]) -> Result<Vec<A>, StoreFault>) {
        self.is_under_way.set(true);
        let mut lead = Lead { shared: self, turns: Vec::new() };
        let rest = self.rests_until.get().saturating_sub(S::now());
        if !rest.is_zero() && self.waiting.borrow().len() < COMPANY {
            S::sleep(rest).await;
        }
        let began = S::now();
        let mut questions = Vec::new();
        let mut tries: u32 = 1;
        let answers = loop {
            lead.take(&mut questions);
            match statement(&questions).await {
                Err(StoreFault::Contended) if tries < TRIES_MAX => {
                    if tries >= TRIES_AT_ONCE {
                        S::sleep(BETWEEN_TRIES).await;
                    } else if questions.len() < COMPANY {
                        S::sleep(REST).await;
                    }
                    tries = tries.saturating_add(1);
                }
                answers => break answers,
            }
        };
        let now = S::now();
        if now.saturating_sub(began) >= CONTENDED {
            self.contended_until.set(now.saturating_add(CONTENTION));
        }
        if now < self.contended_until.get() {
            self.rests_until.set(now.saturating_add(REST));
        }
        match answers {
            Ok(answers) => {
                for (turn, answer) in lead.turns.iter().zip(answers) {
                    turn.answer.set(Some(Ok(answer)));
                }
            }
            Err(fault) => {
                for turn in &lead.turns {
                    turn.answer.set(Some(Err(fault)));
                }
            }
        }
    }

    /// Wakes the first of those that wait, to lead. Should another one lead before it runs, it waits on.
    fn call_next(&self) {
        if let Some(next) = self.waiting.borrow().front() {
            next.bell.take();
        }
    }
}

/// A statement under way. It ends with this value, whether it was answered, or its request was dropped in the midst of it.
struct Lead<'s, Q, A, S: Tasks> {
    shared: &'s Shared<Q, A, S>,
    turns: Vec<Rc<Turn<Q, A, S>>>,
}

impl<Q, A, S: Tasks> Lead<'_, Q, A, S> {
    /// Takes the questions of those that wait, as many as there is room for.
    fn take(&mut self, questions: &mut Vec<Q>) {
        let mut waiting = self.shared.waiting.borrow_mut();
        while questions.len() < QUESTIONS_MAX
            && let Some(turn) = waiting.pop_front()
        {
            questions.extend(turn.question.take());
            self.turns.push(turn);
        }
    }
}

impl<Q, A, S: Tasks> Drop for Lead<'_, Q, A, S> {
    fn drop(&mut self) {
        self.shared.is_under_way.set(false);
        for turn in &self.turns {
            let answer = turn.answer.take().unwrap_or(Err(StoreFault::Unavailable));
            turn.answer.set(Some(answer));
            turn.bell.take();
        }
        self.shared.call_next();
    }
}

/// A request's place among those that wait. One that is dropped asks nothing more, and calls another one if it was to lead.
struct Place<'s, Q, A, S: Tasks> {
    shared: &'s Shared<Q, A, S>,
    turn: &'s Rc<Turn<Q, A, S>>,
}

impl<Q, A, S: Tasks> Drop for Place<'_, Q, A, S> {
    fn drop(&mut self) {
        self.shared.waiting.borrow_mut().retain(|turn| !Rc::ptr_eq(turn, self.turn));
        if !self.shared.is_under_way.get() {
            self.shared.call_next();
        }
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
pub(crate) mod tests;
