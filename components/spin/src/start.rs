//! How an instance starts: what its first request makes is kept, and so is what keeps it from serving.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::thread::LocalKey;

use crate::config::NotConfigured;
use crate::host;
use crate::opening::NotOpened;
use crate::shared::{OfComponent, Tasks};

/// What an instance has made of itself so far. It may be given several requests before it has started: one of them starts it, and the
/// others wait for that.
pub struct Started<T, S: Tasks = OfComponent> {
    made: RefCell<Option<Result<Rc<T>, NotServing>>>,
    is_starting: Cell<bool>,
    waiting: RefCell<Vec<S::Bell>>,
}

/// Why an instance does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotServing {
    /// The document is wrong, or a secret is missing.
    Configuration,
    /// Spin's provider of variables did not answer, or the document could not be read.
    NotNow,
    /// There is no database.
    Database(NotOpened),
}

/// The reason, with the lines that tell the operator what to do about it.
#[derive(Debug)]
pub struct NotStarted {
    why: NotServing,
    lines: Vec<String>,
}

impl NotServing {
    /// For the answer and the line of each request; what to do about it was logged when it arose.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration is wrong; the mistakes were logged at the start",
            Self::NotNow => "the configuration cannot be read at the moment; the reason was logged",
            Self::Database(why) => why.as_str(),
        }
    }

    /// Whether it will be the same for the next request.
    const fn lasts(self) -> bool {
        match self {
            Self::Configuration => true,
            Self::NotNow => false,
            Self::Database(problem) => problem.lasts(),
        }
    }
}

impl From<NotConfigured> for NotStarted {
    fn from(why: NotConfigured) -> Self {
        match why {
            NotConfigured::Wrong(lines) => Self { why: NotServing::Configuration, lines },
            NotConfigured::NotNow(line) => Self { why: NotServing::NotNow, lines: vec![line] },
        }
    }
}

impl From<NotOpened> for NotStarted {
    fn from(why: NotOpened) -> Self {
        Self { why: NotServing::Database(why), lines: vec![why.to_line()] }
    }
}

impl<T, S: Tasks> Started<T, S> {
    /// Nothing yet.
    #[must_use]
    pub const fn not_yet() -> Self {
        Self { made: RefCell::new(None), is_starting: Cell::new(false), waiting: RefCell::new(Vec::new()) }
    }

    fn made(&self) -> Option<Result<Rc<T>, NotServing>> {
        self.made.borrow().clone()
    }

    /// Keeps what a start came to. A reason is logged, unless it is still the one of before.
    fn keep(&self, made: Result<T, NotStarted>) -> Result<Rc<T>, NotServing> {
        let made = made.map(Rc::new).map_err(|NotStarted { why, lines }| {
            if !matches!(self.made(), Some(Err(before)) if before == why) {
                lines.iter().for_each(|line| host::complain(line));
            }
            why
        });
        *self.made.borrow_mut() = Some(made.clone());
        made
    }
}

impl<T, S: Tasks> fmt::Debug for Started<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("is_starting", &self.is_starting).finish_non_exhaustive()
    }
}

/// A start under way. It ends with this value, whether it came to something or its request was dropped in the midst of it.
struct Starting<T: 'static, S: Tasks + 'static>(&'static LocalKey<Started<T, S>>);

impl<T, S: Tasks> Drop for Starting<T, S> {
    fn drop(&mut self) {
        self.0.with(|started| {
            started.is_starting.set(false);
            started.waiting.take();
        });
    }
}

/// The instance, which `start` makes for its first request. A reason that lasts is kept as well: whoever sends to a component that is
/// misconfigured must not make it compile, and log every mistake, at each request.
///
/// # Errors
/// Why there is none. Its remedy was logged, once.
pub async fn instance<T, S: Tasks>(
    started: &'static LocalKey<Started<T, S>>,
    start: impl AsyncFnOnce() -> Result<T, NotStarted>,
) -> Result<Rc<T>, NotServing> {
    match started.with(Started::made) {
        Some(Ok(instance)) => return Ok(instance),
        Some(Err(why)) if why.lasts() => return Err(why),
        Some(Err(_)) | None => {}
    }
    while started.with(|started| started.is_starting.replace(true)) {
        let (bell, sound) = S::pair();
        started.with(|started| started.waiting.borrow_mut().push(bell));
        sound.await;
        // What became of the start that it waited for is this request's answer too.
        if let Some(made) = started.with(Started::made) {
            return made;
        }
    }
    let _starting = Starting(started);
    let made = start().await;
    started.with(|started| started.keep(made))
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
