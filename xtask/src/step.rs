//! Named steps: progress as they run, the remedy when one fails, and a table of times at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

/// The steps of one command, in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

impl Steps {
    /// Runs a step. Without a result the commands that build on it cannot go on.
    ///
    /// # Errors
    /// What the step returned; the remedy has been printed by then.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        remedy: &str,
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let verdict = if result.is_ok() { Verdict::Passed } else { Verdict::Failed };
        match &result {
            Ok(_) => println!("    {name}: done in {}", seconds(took)),
            Err(error) => {
                println!("    {name}: FAILED after {}\n{}", seconds(took), indent(&format!("{error:#}")));
                println!("    Remedy: {remedy}");
            }
        }
        self.rows.push(Row { name, verdict, took });
        result
    }

    /// Runs a step whose failure does not keep the next one from running; says whether it passed.
    pub(crate) fn check(
        &mut self,
        name: &'static str,
        remedy: &str,
        step: impl FnOnce() -> Result<()>,
    ) -> bool {
        self.run(name, remedy, step).is_ok()
    }

    /// How many steps failed.
    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict == Verdict::Failed).count()
    }

    /// The table of steps and times.
    pub(crate) fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("total".len());
        let mut text = String::new();
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::Passed => "ok",
                Verdict::Failed => "FAILED",
            };
            text.push_str(&format!("  {:width$}  {:>8}  {verdict}\n", row.name, seconds(row.took)));
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        text.push_str(&format!("  {:width$}  {:>8}\n", "total", seconds(total)));
        text
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::Steps;

    #[test]
    fn a_failed_step_is_counted_and_shown() {
        let mut steps = Steps::default();
        assert!(steps.check("good", "none", || Ok(())));
        assert!(!steps.check("bad", "none", || anyhow::bail!("broken")));
        assert_eq!(steps.failed(), 1);
        let table = steps.table();
        assert!(table.lines().any(|line| line.contains("good") && line.ends_with("ok")), "{table}");
        assert!(table.lines().any(|line| line.contains("bad") && line.ends_with("FAILED")), "{table}");
    }
}
