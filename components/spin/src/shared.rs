//! Requests of one instance that share one statement: whoever finds none under way asks for all that wait.
//!
//! Nobody waits for others to come: a request that finds no statement under way starts one at once, and those that come meanwhile
//! are the next one's. So an idle database serves a single request without a delay, and the longer a commit takes, the
//! more requests share the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use countersign_core::store::StoreFault;
use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::StreamWriter;

/// Questions that one statement answers at the most: Spin reads four rows ahead of the guest, and a statement that has a fifth one
/// stands still, lock and all, until that is read.
pub(crate) const QUESTIONS_MAX: usize = 4;

/// How often a statement that finds the database locked is run in all, each time with the questions that came meanwhile.
pub(crate) const TRIES_MAX: u32 = 150;

/// How a request of an instance wakes another one.
pub(crate) trait Signal {
    /// Wakes who waits for it when it is dropped.
    type Bell;

    /// A bell, and the wait for it.
    fn pair() -> (Self::Bell, impl Future<Output = ()>);
}

/// A stream of the component model that ends when its writer is dropped.
///
/// A `Waker` of another request's task panics: wit-bindgen 0.57 has those only with its feature `inter-task-wakeup`, and with that
/// its tasks trap on wasmtime 48 at their next wait. The end of a stream is an event of the host, which knows whose it is.
pub(crate) struct StreamEnd;

impl Signal for StreamEnd {
    type Bell = StreamWriter<u8>;

    fn pair() -> (Self::Bell, impl Future<Output = ()>) {
        let (bell, mut sound) = wit_stream::new();
        (bell, async move {
            // Nothing is ever written.
            _ = sound.next().await;
        })
    }
}

/// The questions that wait, and whether a statement is under way.
pub(crate) struct Shared<Q, A, S: Signal = StreamEnd> {
    waiting: RefCell<VecDeque<Rc<Turn<Q, A, S>>>>,
    is_under_way: Cell<bool>,
}

/// A request's question, and in the end its answer.
struct Turn<Q, A, S: Signal> {
    question: Cell<Option<Q>>,
    answer: Cell<Option<Result<A, StoreFault>>>,
    bell: Cell<Option<S::Bell>>,
}

impl<Q, A, S: Signal> Shared<Q, A, S> {
    /// Nothing waits.
    pub(crate) const fn new() -> Self {
        Self { waiting: RefCell::new(VecDeque::new()), is_under_way: Cell::new(false) }
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
        let mut questions = Vec::new();
        let mut tries: u32 = 1;
        let answers = loop {
            lead.take(&mut questions);
            match statement(&questions).await {
                Err(StoreFault::Contended) if tries < TRIES_MAX => tries = tries.saturating_add(1),
                answers => break answers,
            }
        };
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
struct Lead<'s, Q, A, S: Signal> {
    shared: &'s Shared<Q, A, S>,
    turns: Vec<Rc<Turn<Q, A, S>>>,
}

impl<Q, A, S: Signal> Lead<'_, Q, A, S> {
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

impl<Q, A, S: Signal> Drop for Lead<'_, Q, A, S> {
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
struct Place<'s, Q, A, S: Signal> {
    shared: &'s Shared<Q, A, S>,
    turn: &'s Rc<Turn<Q, A, S>>,
}

impl<Q, A, S: Signal> Drop for Place<'_, Q, A, S> {
    fn drop(&mut self) {
        self.shared.waiting.borrow_mut().retain(|turn| !Rc::ptr_eq(turn, self.turn));
        if !self.shared.is_under_way.get() {
            self.shared.call_next();
        }
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
