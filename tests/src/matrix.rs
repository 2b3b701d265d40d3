//! Every suite on every host. [`matrix!`] lists the pairs; one that is missing does not compile.

use anyhow::{Context as _, bail};

use crate::compare::differences;
use crate::exceptions;
use crate::hosts::HostName;
use crate::vector::{Group, Suite};

/// Lists, for each suite, which hosts play it and which groups it has, and makes one test of each group and host.
///
/// ```text
/// matrix! {
///     Gate on { Native plays, Filter plays } has [shape source]
///     Inbox on { Native plays, Filter cannot } has [collect]
/// }
/// ```
#[macro_export]
macro_rules! matrix {
    ($($suite:ident on { $($host:ident $how:ident),* $(,)? } has $groups:tt)*) => {
        // Not every pair is listed where this does not compile, or one is listed otherwise than `HostName::plays` has it.
        const fn listed(suite: $crate::vector::Suite, host: $crate::hosts::HostName) -> bool {
            match (suite, host) {
                $($(($crate::vector::Suite::$suite, $crate::hosts::HostName::$host) => $crate::matrix!(@ $how),)*)*
            }
        }
        $($(const _: () = {
            let (suite, host) = ($crate::vector::Suite::$suite, $crate::hosts::HostName::$host);
            assert!(listed(suite, host) == host.plays(suite));
        };)*)*
        /// Every group of every suite.
        pub const GROUPS: &[(&str, &[&str])] = &[$(($crate::vector::Suite::$suite.folder(), $crate::matrix!(@names $groups))),*];
        $(
            #[expect(non_snake_case, reason = "named as the suite")]
            mod $suite {
                $($crate::matrix!(@tests $suite $host $how $groups);)*
            }
        )*
    };
    (@ plays) => { true };
    (@ cannot) => { false };
    (@names [$($group:ident)*]) => { &[$(stringify!($group)),*] };
    (@tests $suite:ident $host:ident plays [$($group:ident)*]) => {
        #[expect(non_snake_case, reason = "named as the host")]
        mod $host {
            $(#[test]
            fn $group() {
                let (suite, host) = ($crate::vector::Suite::$suite, $crate::hosts::HostName::$host);
                if let Err(error) = $crate::matrix::play(suite, stringify!($group), host) {
                    panic!("{error:#}");
                }
            })*
        }
    };
    (@tests $suite:ident $host:ident cannot $groups:tt) => {};
}

/// Plays a group on a host.
///
/// # Errors
/// Every vector that the host answers otherwise, with the differences; and every exception that was not needed.
pub fn play(suite: Suite, name: &str, host: HostName) -> anyhow::Result<()> {
    let group = Group::load(suite, name)?;
    let exceptions = exceptions::load()?.remove(host.as_str()).unwrap_or_default();
    let mut playing = host.start(suite)?;
    let mut reports = Vec::new();
    for vector in &group.vectors {
        let played =
            playing.play(&group, vector).with_context(|| format!("{} on {}", vector.id, host.as_str()));
        let different = match played {
            Ok(played) => differences(suite, host, vector, &played),
            Err(error) => Some(format!("{error:#}")),
        };
        match (different, exceptions.get(&vector.id)) {
            (Some(different), None) => reports.push(different),
            (None, Some(_)) => reports.push(format!(
                "{} is answered rightly: take it out of exceptions.toml, table {}",
                vector.id,
                host.as_str()
            )),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    if reports.is_empty() {
        return Ok(());
    }
    let (wrong, all) = (reports.len(), group.vectors.len());
    bail!(
        "{wrong} of {all} vectors of {}/{name} on {}:\n\n{}",
        suite.folder(),
        host.as_str(),
        reports.join("\n")
    )
}
