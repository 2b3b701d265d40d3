//! What the test programs say: how many tests passed, failed and were skipped, and why.

/// The sum over all test programs of a run.
///
/// The programs run with `--show-output`, since a test that cannot run says `SKIPPED <name>: <reason>` on its
/// standard output. With the test's own name the whole test counts as skipped (libtest counts it as passed); with
/// any other name it is a case within a test that passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    /// `name: reason` of each test or case that did not run.
    pub(crate) skipped: Vec<String>,
    /// Within the part that repeats what successful tests printed.
    quoting: bool,
    /// The test whose output is being repeated, until it is known to be skipped as a whole.
    quoted_test: Option<String>,
    whole_tests_skipped: u64,
}

impl Tally {
    /// Reads one line of output; says whether a person wants to see it: what else successful tests print is noise.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        let line = line.trim_end();
        if let Some(result) = line.strip_prefix("test result:") {
            self.quoting = false;
            self.passed += count_of(result, "passed");
            self.failed += count_of(result, "failed");
            return true;
        }
        match line {
            "successes:" => self.quoting = true,
            "failures:" => self.quoting = false,
            _ => {}
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.quoted_test = Some(test.to_owned());
        }
        if let Some(skip) = line.strip_prefix("SKIPPED ") {
            self.skip(skip);
            return true;
        }
        self.skipped.extend(ignored(line));
        !self.quoting
    }

    fn skip(&mut self, skip: &str) {
        let name = skip.split_once(": ").map_or(skip, |(name, _)| name);
        let whole = |test: &String| test == name || test.rsplit("::").next() == Some(name);
        if self.quoting && self.quoted_test.take_if(|test| whole(test)).is_some() {
            // libtest adds it to `passed` in the result line that follows.
            self.whole_tests_skipped += 1;
        }
        self.skipped.push(skip.to_owned());
    }

    /// Whether any test failed.
    pub(crate) fn has_failures(&self) -> bool {
        self.failed > 0
    }

    /// The closing line of the run. `broken` counts the steps that failed without being tests: a run that failed
    /// never closes with `0 failed`.
    pub(crate) fn closing_line(&self, broken: u64) -> String {
        let passed = self.passed.saturating_sub(self.whole_tests_skipped);
        let failed = self.failed + broken;
        if self.skipped.is_empty() {
            format!("{passed} passed, {failed} failed")
        } else {
            format!("{passed} passed, {failed} failed, {} skipped", self.skipped.len())
        }
    }
}

/// The number before a word: 3 of ` ok. 3 passed; 0 failed; …` for `passed`.
fn count_of(result: &str, word: &str) -> u64 {
    result
        .split(['.', ';'])
        .filter_map(|part| part.trim().strip_suffix(word))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// `name: reason` of a line like `test name ... ignored, reason`.
fn ignored(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some(format!("{name}: {}", rest.strip_prefix(", ").unwrap_or("ignored")))
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn read(text: &str) -> (Tally, Vec<&str>) {
        let mut tally = Tally::default();
        let shown = text.lines().filter(|line| tally.read(line)).collect();
        (tally, shown)
    }

    #[test]
    fn results_of_all_programs_are_added() {
        let (tally, _) = read(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n",
        );
        assert!(tally.has_failures());
        assert_eq!(tally.closing_line(0), "15 passed, 2 failed");
        assert_eq!(tally.closing_line(1), "15 passed, 3 failed");
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one_and_a_skipped_case_is() {
        let (tally, shown) = read(
            "test a::no_data ... ok\ntest a::cases ... ok\n\nsuccesses:\n\n\
             ---- a::no_data stdout ----\nSKIPPED no_data: shared/data is missing\nnoise\n\n\
             ---- a::cases stdout ----\nSKIPPED tcId 7: not JSON\nSKIPPED tcId 8: not JSON\n\n\
             successes:\n    a::no_data\n    a::cases\n\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(tally.closing_line(0), "1 passed, 0 failed, 3 skipped");
        assert_eq!(
            tally.skipped,
            ["no_data: shared/data is missing", "tcId 7: not JSON", "tcId 8: not JSON"]
        );
        assert!(!shown.contains(&"noise"));
        assert!(shown.contains(&"SKIPPED tcId 8: not JSON"));
    }

    #[test]
    fn an_ignored_test_is_a_skipped_one() {
        let (tally, _) = read(
            "test a::slow ... ignored, needs a day\n\
             test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(tally.skipped, ["a::slow: needs a day"]);
        assert_eq!(tally.closing_line(0), "0 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn what_failed_tests_print_is_shown() {
        let (_, shown) = read(
            "successes:\n\n---- a stdout ----\nnoise\n\nsuccesses:\n    a\n\nfailures:\n\n\
             ---- b stdout ----\nexpected 1, found 2\n\nfailures:\n    b\n\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert!(shown.contains(&"expected 1, found 2"));
        assert!(!shown.contains(&"noise"));
    }

    #[test]
    fn other_lines_that_speak_of_passing_do_not_count() {
        let (tally, _) = read("running 4 tests\n7 passed\nresult: ok. 9 passed;\n");
        assert_eq!(tally.closing_line(0), "0 passed, 0 failed");
    }
}
