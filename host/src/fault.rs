//! Faults that a test injects at a host call: the n-th call of a name fails, and the guest sees what the real host would show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a faulty host call shows its guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with the host's own error (an I/O error, `INTERNAL_FAILURE`, …).
    Error,
    /// The call loses a race (a compare-and-swap mismatch, `SQLITE_BUSY`).
    Conflict,
    /// The call succeeds and hands back these bytes instead of what is stored.
    Garbage(Vec<u8>),
    /// The call's effect is made durable, and then it fails: the guest cannot know.
    ErrorAfterEffect,
}

/// The plan of faults for one host, shared with the test that made it, and the count of calls seen.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// (call name, how many more calls pass first) → fault
    planned: Vec<(String, u64, Fault)>,
    calls: BTreeMap<String, u64>,
    /// The call that kills the process, and how many more calls pass first.
    killed_at: Option<(String, u64)>,
    pages_max: Option<u32>,
}

impl Faults {
    /// A host without faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Lets the call `name` fail once, after `after` more calls of that name have passed.
    pub fn plan(&self, name: &str, after: u64, fault: Fault) {
        self.lock().planned.push((name.to_owned(), after, fault));
    }

    /// Lets the call `name` kill this whole process by a SIGKILL, before it has any effect, after `after` more calls of that name have
    /// passed.
    pub fn kill(&self, name: &str, after: u64) {
        self.lock().killed_at = Some((name.to_owned(), after));
    }

    /// Forgets what is planned; the counts stay.
    pub fn clear(&self) {
        let mut plan = self.lock();
        plan.planned.clear();
        plan.killed_at = None;
    }

    /// Lets every database file grow to so many pages and no further, as if its disk were full then; `None`: as far as it goes.
    pub fn bound_pages(&self, pages_max: Option<u32>) {
        self.lock().pages_max = pages_max;
    }

    /// How far a database file may grow, in pages.
    #[must_use]
    pub fn pages_max(&self) -> Option<u32> {
        self.lock().pages_max
    }

    /// How often each call was made so far.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    /// Counts the call `name` and says whether it must fail; hosts ask this first in every call.
    pub fn strike(&self, name: &str) -> Option<Fault> {
        let mut plan = self.lock();
        *plan.calls.entry(name.to_owned()).or_default() += 1;
        if let Some((_, after)) = plan.killed_at.as_mut().filter(|(killed_at, _)| killed_at == name) {
            match after.checked_sub(1) {
                Some(left) => *after = left,
                None => kill_this_process(),
            }
        }
        let mut struck = None;
        plan.planned.retain_mut(|(planned, after, fault)| {
            if planned != name || struck.is_some() {
                return true;
            }
            if *after > 0 {
                *after -= 1;
                return true;
            }
            struck = Some(fault.clone());
            false
        });
        struck
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill_this_process() -> ! {
    let this = std::process::id().to_string();
    // Where there is no such program, this ends without a clean-up as well.
    if !std::process::Command::new("kill")
        .args(["-KILL", &this])
        .status()
        .is_ok_and(|status| status.success())
    {
        std::process::abort();
    }
    loop {
        std::thread::park();
    }
}
