//! Requests come to an instance that has not started; each is polled by hand.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::shared::tests::Hand;

thread_local! {
    /// A test has a thread of its own, hence an instance of its own.
    static STARTED: Started<u32, Hand> = const { Started::not_yet() };
}

type Answer = Result<Rc<u32>, NotServing>;

/// A start that ends when the test says so, and how often there was one.
#[derive(Default)]
struct Start {
    begun: Cell<u32>,
    end: RefCell<Option<Result<u32, NotStarted>>>,
}

impl Start {
    /// A request, which starts the instance if nobody else does.
    async fn request(&self) -> Answer {
        let start = async || {
            self.begun.set(self.begun.get().saturating_add(1));
            poll_fn(|_| self.end.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)).await
        };
        instance(&STARTED, start).await
    }

    fn end(&self, end: Result<u32, NotServing>) {
        *self.end.borrow_mut() = Some(end.map_err(|why| NotStarted { why, lines: Vec::new() }));
    }
}

fn poll(request: Pin<&mut impl Future<Output = Answer>>) -> Poll<Answer> {
    request.poll(&mut Context::from_waker(Waker::noop()))
}

fn is(answer: Poll<Answer>, made: u32) -> bool {
    matches!(answer, Poll::Ready(Ok(instance)) if *instance == made)
}

#[test]
fn those_that_come_during_a_start_share_it() {
    let start = Start::default();
    let (mut first, mut second, mut third) =
        (pin!(start.request()), pin!(start.request()), pin!(start.request()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    start.end(Ok(7));
    assert!(poll(second.as_mut()).is_pending(), "it has not ended before the one that makes it has run");
    assert!(is(poll(first.as_mut()), 7));
    assert!(is(poll(second.as_mut()), 7));
    assert!(is(poll(third.as_mut()), 7));
    assert!(is(poll(pin!(start.request())), 7), "and those that come later have it at once");
    assert_eq!(start.begun.get(), 1);
}

#[test]
fn start_whose_request_is_gone_is_made_by_one_that_waits() {
    let start = Start::default();
    let mut first = Box::pin(start.request());
    let (mut second, mut third) = (pin!(start.request()), pin!(start.request()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(start.begun.get(), 2, "one of them");
    start.end(Ok(7));
    assert!(is(poll(second.as_mut()), 7));
    assert!(is(poll(third.as_mut()), 7));
}

#[test]
fn problem_is_the_answer_to_all_that_wait_for_the_start() {
    let start = Start::default();
    let (mut first, mut second) = (pin!(start.request()), pin!(start.request()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    start.end(Err(NotServing::NotNow));
    assert_eq!(poll(first.as_mut()), Poll::Ready(Err(NotServing::NotNow)));
    assert_eq!(poll(second.as_mut()), Poll::Ready(Err(NotServing::NotNow)));
    assert_eq!(start.begun.get(), 1, "it is not tried again for each of them");
}

#[test]
fn problem_that_passes_is_tried_again_and_one_that_lasts_is_not() {
    let start = Start::default();
    start.end(Err(NotServing::NotNow));
    assert_eq!(poll(pin!(start.request())), Poll::Ready(Err(NotServing::NotNow)));
    start.end(Err(NotServing::Configuration));
    assert_eq!(poll(pin!(start.request())), Poll::Ready(Err(NotServing::Configuration)));
    start.end(Ok(7));
    assert_eq!(poll(pin!(start.request())), Poll::Ready(Err(NotServing::Configuration)));
    assert_eq!(start.begun.get(), 2);
}
