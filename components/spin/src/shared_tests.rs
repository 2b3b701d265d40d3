//! Requests are polled here only when they were woken, as a host does it: whoever is forgotten stands still.

#![expect(clippy::arithmetic_side_effects, reason = "in a test a failed assertion is the answer")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;

/// Bells and a clock without a host.
pub(crate) struct Hand;

#[derive(Default)]
struct Rung {
    is_rung: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

pub(crate) struct Bell(Rc<Rung>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.is_rung.set(true);
        self.0.waker.take().into_iter().for_each(Waker::wake);
    }
}

thread_local! {
    /// The clock of a test, and who waits for it.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static ASLEEP: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Time passes.
fn pass(time: Duration) {
    NOW.set(NOW.get() + time);
    ASLEEP.take().into_iter().for_each(Waker::wake);
}

impl Tasks for Hand {
    type Bell = Bell;

    fn now() -> Duration {
        NOW.get()
    }

    async fn sleep(time: Duration) {
        let until = NOW.get() + time;
        poll_fn(|context| {
            if NOW.get() >= until {
                return Poll::Ready(());
            }
            ASLEEP.with_borrow_mut(|asleep| asleep.push(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn pair() -> (Bell, impl Future<Output = ()>) {
        let rung = Rc::new(Rung::default());
        let bell = Bell(Rc::clone(&rung));
        let sound = poll_fn(move |context| {
            rung.waker.set(Some(context.waker().clone()));
            if rung.is_rung.get() { Poll::Ready(()) } else { Poll::Pending }
        });
        (bell, sound)
    }
}

/// A database that answers when the test lets it: each question with ten times itself.
#[derive(Default)]
struct Database {
    asked: RefCell<Vec<Vec<u32>>>,
    ends: RefCell<VecDeque<Result<(), StoreFault>>>,
    waker: Cell<Option<Waker>>,
}

impl Database {
    async fn run(&self, questions: &[u32]) -> Result<Vec<u32>, StoreFault> {
        let answers = questions.iter().map(|question| question * 10).collect();
        self.asked.borrow_mut().push(questions.to_vec());
        let end = poll_fn(|context| {
            self.waker.set(Some(context.waker().clone()));
            self.ends.borrow_mut().pop_front().map_or(Poll::Pending, Poll::Ready)
        });
        end.await.map(|()| answers)
    }

    fn end(&self, end: Result<(), StoreFault>) {
        self.ends.borrow_mut().push_back(end);
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Answer = Result<u32, StoreFault>;

struct Request<'t> {
    future: Option<Pin<Box<dyn Future<Output = Answer> + 't>>>,
    woken: Arc<Woken>,
    answer: Option<Answer>,
}

/// The requests of an instance.
struct Instance<'t> {
    shared: &'t Shared<u32, u32, Hand>,
    database: &'t Database,
    requests: Vec<Request<'t>>,
}

impl<'t> Instance<'t> {
    fn new(shared: &'t Shared<u32, u32, Hand>, database: &'t Database) -> Self {
        Self { shared, database, requests: Vec::new() }
    }

    /// Requests arrive that ask these questions.
    fn arrive(&mut self, questions: impl IntoIterator<Item = u32>) {
        for question in questions {
            let (shared, database) = (self.shared, self.database);
            let future = Box::pin(async move {
                shared.ask(question, async |questions| database.run(questions).await).await
            });
            let woken = Arc::new(Woken(AtomicBool::new(true)));
            self.requests.push(Request { future: Some(future), woken, answer: None });
        }
        self.settle();
    }

    /// Polls whoever was woken, until nobody is.
    fn settle(&mut self) {
        while let Some(request) =
            self.requests.iter_mut().find(|request| request.woken.0.swap(false, Ordering::Relaxed))
        {
            let waker = Waker::from(Arc::clone(&request.woken));
            let Some(future) = &mut request.future else { continue };
            if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                request.answer = Some(answer);
                request.future = None;
            }
        }
    }

    /// The statement under way ends so, and its rest is over.
    fn end(&mut self, end: Result<(), StoreFault>) {
        self.end_before_the_rest(end);
        self.pass(REST.max(BETWEEN_TRIES));
    }

    fn end_before_the_rest(&mut self, end: Result<(), StoreFault>) {
        self.database.end(end);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        pass(time);
        self.settle();
    }

    /// A request is dropped.
    fn hang_up(&mut self, request: usize) {
        self.requests[request].future = None;
        self.settle();
    }

    fn answers(&self) -> Vec<Option<Answer>> {
        self.requests.iter().map(|request| request.answer).collect()
    }

    fn asked(&self) -> Vec<Vec<u32>> {
        self.database.asked.borrow().clone()
    }
}

/// Puts an instance to the test.
fn instance(test: impl FnOnce(Instance<'_>)) {
    let (shared, database) = (Shared::new(), Database::default());
    test(Instance::new(&shared, &database));
    assert!(shared.waiting.borrow().is_empty(), "a question is left over");
}

#[test]
fn a_request_alone_is_asked_at_once() {
    instance(|mut instance| {
        instance.arrive([1]);
        assert_eq!(instance.asked(), [[1]]);
        assert_eq!(instance.answers(), [None]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [Some(Ok(10))]);
    });
}

#[test]
fn few_rest_where_others_want_the_lock_and_several_do_not() {
    instance(|mut instance| {
        instance.arrive([1]);
        instance.pass(CONTENDED);
        instance.arrive([2]);
        instance.end_before_the_rest(Ok(()));
        assert_eq!(instance.asked(), [[1]], "2 is alone");
        instance.arrive([3]);
        instance.pass(REST - Duration::from_nanos(1));
        assert_eq!(instance.asked(), [[1]]);
        instance.pass(Duration::from_nanos(1));
        assert_eq!(instance.asked(), [vec![1], vec![2, 3]]);
        instance.arrive([4, 5, 6, 7]);
        instance.end_before_the_rest(Ok(()));
        assert_eq!(instance.asked()[2..], [[4, 5, 6, 7]]);
        instance.end_before_the_rest(Ok(()));
        // After a while nobody is known to want it.
        instance.pass(CONTENTION);
        instance.arrive([8, 9]);
        instance.end_before_the_rest(Ok(()));
        assert_eq!(instance.asked()[3..], [[8], [9]]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [10, 20, 30, 40, 50, 60, 70, 80, 90].map(|answer| Some(Ok(answer))));
    });
}

#[test]
fn one_that_is_dropped_in_its_rest_calls_the_next() {
    instance(|mut instance| {
        instance.arrive([1]);
        instance.pass(CONTENDED);
        instance.arrive([2, 3]);
        instance.end_before_the_rest(Ok(()));
        instance.hang_up(1);
        assert_eq!(instance.asked(), [[1]]);
        instance.pass(REST);
        assert_eq!(instance.asked(), [[1], [3]]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [Some(Ok(10)), None, Some(Ok(30))]);
    });
}

#[test]
fn a_lock_that_lasts_is_asked_for_less_often() {
    instance(|mut instance| {
        instance.arrive([1]);
        for tries in 1..=usize::try_from(TRIES_AT_ONCE).unwrap() {
            assert_eq!(instance.asked().len(), tries);
            instance.end_before_the_rest(Err(StoreFault::Contended));
            assert_eq!(instance.asked().len(), tries, "one that is alone rests");
            instance.pass(REST);
        }
        let tries = instance.asked().len();
        instance.pass(BETWEEN_TRIES - REST - Duration::from_nanos(1));
        assert_eq!(instance.asked().len(), tries);
        instance.pass(Duration::from_nanos(1));
        assert_eq!(instance.asked().len(), tries + 1);
        instance.end(Ok(()));
    });
}

#[test]
fn those_that_come_meanwhile_share_the_next_statement() {
    instance(|mut instance| {
        instance.arrive([1, 2, 3]);
        assert_eq!(instance.asked(), [vec![1]]);
        instance.end(Ok(()));
        assert_eq!(instance.asked(), [vec![1], vec![2, 3]]);
        assert_eq!(instance.answers(), [Some(Ok(10)), None, None]);
        instance.arrive([4]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [Some(Ok(10)), Some(Ok(20)), Some(Ok(30)), None]);
        instance.end(Ok(()));
        assert_eq!(instance.asked(), [vec![1], vec![2, 3], vec![4]]);
        assert_eq!(instance.answers()[3], Some(Ok(40)));
    });
}

#[test]
fn a_fault_is_a_fault_to_all_who_share_the_statement_and_to_nobody_else() {
    instance(|mut instance| {
        instance.arrive([1, 2, 3]);
        instance.end(Ok(()));
        instance.arrive([4]);
        instance.end(Err(StoreFault::Unavailable));
        let unavailable = Some(Err(StoreFault::Unavailable));
        assert_eq!(instance.answers(), [Some(Ok(10)), unavailable, unavailable, None]);
        instance.end(Ok(()));
        assert_eq!(instance.answers()[3], Some(Ok(40)));
    });
}

#[test]
fn a_locked_database_is_asked_again_with_those_that_came_meanwhile() {
    instance(|mut instance| {
        instance.arrive([1]);
        instance.arrive([2, 3]);
        instance.end(Err(StoreFault::Contended));
        instance.arrive([4]);
        assert_eq!(instance.asked(), [vec![1], vec![1, 2, 3]]);
        assert_eq!(instance.answers(), [None; 4]);
        instance.end(Err(StoreFault::Contended));
        assert_eq!(instance.asked()[2], [1, 2, 3, 4]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [10, 20, 30, 40].map(|answer| Some(Ok(answer))));
    });
}

#[test]
fn a_database_that_stays_locked_is_a_fault_in_the_end() {
    instance(|mut instance| {
        instance.arrive([1]);
        for _ in 1..TRIES_MAX {
            instance.end(Err(StoreFault::Contended));
            assert_eq!(instance.answers(), [None]);
        }
        instance.end(Err(StoreFault::Contended));
        assert_eq!(instance.answers(), [Some(Err(StoreFault::Contended))]);
    });
}

#[test]
fn one_that_is_dropped_while_it_leads_strands_nobody() {
    instance(|mut instance| {
        instance.arrive([1, 2, 3]);
        instance.end(Ok(()));
        instance.arrive([4, 5]);
        // The statement of 2 and 3 is run by 2: what became of it nobody knows.
        instance.hang_up(1);
        assert_eq!(instance.answers()[2], Some(Err(StoreFault::Unavailable)));
        assert_eq!(instance.asked(), [vec![1], vec![2, 3], vec![4, 5]]);
        instance.end(Ok(()));
        assert_eq!(instance.answers()[3..], [Some(Ok(40)), Some(Ok(50))]);
    });
}

#[test]
fn one_that_is_dropped_while_it_waits_asks_nothing() {
    instance(|mut instance| {
        instance.arrive([1, 2, 3]);
        instance.hang_up(1);
        instance.end(Ok(()));
        assert_eq!(instance.asked(), [[1], [3]]);
        instance.end(Ok(()));
        assert_eq!(instance.answers(), [Some(Ok(10)), None, Some(Ok(30))]);
    });
}

#[test]
fn one_that_is_dropped_when_it_is_called_to_lead_calls_the_next() {
    instance(|mut instance| {
        instance.arrive([1, 2, 3]);
        // 1 is answered and 2 is called, but it is gone before it runs.
        instance.database.end(Ok(()));
        let waker = Waker::noop();
        let first = instance.requests[0].future.take();
        let answer = first.map(|mut first| first.as_mut().poll(&mut Context::from_waker(waker)));
        assert_eq!(answer, Some(Poll::Ready(Ok(10))));
        instance.hang_up(1);
        assert_eq!(instance.asked(), [[1], [3]]);
        instance.end(Ok(()));
        assert_eq!(instance.answers()[2], Some(Ok(30)));
    });
}

#[test]
fn one_that_comes_before_the_called_one_runs_leads_for_both() {
    instance(|mut instance| {
        instance.arrive([1, 2]);
        instance.database.end(Ok(()));
        let waker = Waker::noop();
        let first = instance.requests[0].future.take();
        _ = first.map(|mut first| first.as_mut().poll(&mut Context::from_waker(waker)));
        // The third is polled first of all.
        let called = instance.requests.remove(1);
        instance.arrive([3]);
        assert_eq!(instance.asked(), [vec![1], vec![2, 3]]);
        instance.requests.push(called);
        instance.settle();
        instance.end(Ok(()));
        assert_eq!(instance.answers()[1..], [Some(Ok(30)), Some(Ok(20))]);
    });
}

#[test]
fn a_crowd_is_served_in_bounded_statements_and_in_order() {
    instance(|mut instance| {
        let count = u32::try_from(QUESTIONS_MAX).unwrap();
        instance.arrive(0..=2 * count + 1);
        for _ in 0..4 {
            instance.end(Ok(()));
        }
        let asked = instance.asked();
        assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [1, QUESTIONS_MAX, QUESTIONS_MAX, 1]);
        assert!(asked.concat().is_sorted());
        assert!(instance.answers().iter().all(Option::is_some));
    });
}
