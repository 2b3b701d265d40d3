//! How an instance starts: what its first request makes is kept, and so is what keeps it from serving.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread::LocalKey;

use crate::config::NotConfigured;
use crate::host;
use crate::inbox::NotOpened;

/// What an instance has made of itself so far; it may serve several requests at once, which meet at every `await`.
#[derive(Debug)]
pub struct Started<T>(RefCell<Option<Result<Rc<T>, Problem>>>);

/// Why an instance does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The document is wrong, or a secret is missing.
    Configuration,
    /// Spin's provider of variables did not answer, or the document could not be read.
    NotNow,
    /// There is no database.
    Database(NotOpened),
}

/// A problem, with the lines that tell the operator what to do about it.
#[derive(Debug)]
pub struct NotStarted {
    problem: Problem,
    lines: Vec<String>,
}

impl Problem {
    /// For the answer and the line of each request; what to do about it was logged when it arose.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration is wrong; the mistakes were logged at the start",
            Self::NotNow => "the configuration cannot be read at the moment; the reason was logged",
            Self::Database(problem) => problem.as_str(),
        }
    }

    /// Whether it will be the same for the next request.
    const fn lasts(self) -> bool {
        match self {
            Self::Configuration | Self::Database(NotOpened::NotDurable) => true,
            Self::NotNow | Self::Database(NotOpened::Store(_)) => false,
        }
    }
}

impl From<NotConfigured> for NotStarted {
    fn from(problem: NotConfigured) -> Self {
        match problem {
            NotConfigured::Wrong(lines) => Self { problem: Problem::Configuration, lines },
            NotConfigured::NotNow(line) => Self { problem: Problem::NotNow, lines: vec![line] },
        }
    }
}

impl From<NotOpened> for NotStarted {
    fn from(problem: NotOpened) -> Self {
        Self {
            problem: Problem::Database(problem),
            lines: vec![format!("no database: {}", problem.as_str())],
        }
    }
}

impl<T> Started<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn not_yet() -> Self {
        Self(RefCell::new(None))
    }

    /// Keeps what was made, unless another request has made it meanwhile.
    fn keep(&self, made: T) -> Rc<T> {
        let mut started = self.0.borrow_mut();
        if let Some(Ok(instance)) = &*started {
            return Rc::clone(instance);
        }
        let instance = Rc::new(made);
        *started = Some(Ok(Rc::clone(&instance)));
        instance
    }

    /// Logs a problem, unless it is still the one of before, or another request has got over it meanwhile.
    fn tell_once(&self, NotStarted { problem, lines }: NotStarted) -> Problem {
        let mut started = self.0.borrow_mut();
        let is_known = match &*started {
            Some(Ok(_)) => true,
            Some(Err(before)) => *before == problem,
            None => false,
        };
        if !is_known {
            *started = Some(Err(problem));
            lines.iter().for_each(|line| host::complain(line));
        }
        problem
    }
}

/// The instance, which `start` makes for its first request. A problem that lasts is kept as well: whoever sends to a component that is
/// misconfigured must not make it compile, and log every mistake, at each request.
///
/// # Errors
/// Why there is none. Its remedy was logged, once.
pub async fn instance<T>(
    started: &'static LocalKey<Started<T>>,
    start: impl AsyncFnOnce() -> Result<T, NotStarted>,
) -> Result<Rc<T>, Problem> {
    match started.with(|started| started.0.borrow().clone()) {
        Some(Ok(instance)) => return Ok(instance),
        Some(Err(problem)) if problem.lasts() => return Err(problem),
        Some(Err(_)) | None => {}
    }
    match start().await {
        Ok(made) => Ok(started.with(|started| started.keep(made))),
        Err(not_started) => Err(started.with(|started| started.tell_once(not_started))),
    }
}
