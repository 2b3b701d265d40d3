//! Each rule with a text that breaks it and one that comes close.

use super::{
    FUNCTION_LINES_MAX, MACHINE_PATHS, REGISTRIES, SOURCE_LINES_MAX, TABLE_LINES_MAX, TABLES, UNFINISHED,
    UNFINISHED_RUST,
};
use super::{check_file, unexplained_dependencies};

/// The lines (0 for the whole file) that break a rule.
fn broken(path: &str, text: &str) -> Vec<usize> {
    check_file(path, text.as_bytes()).iter().map(|violation| violation.line.unwrap_or(0)).collect()
}

#[test]
fn a_clean_file_breaks_nothing() {
    let text = "//! Text.\n\n/// Adds.\nfn add(a: u8) -> u8 {\n    a\n}\n";
    assert_eq!(broken("a.rs", text), [0_usize; 0]);
}

#[test]
fn white_space_at_the_end_is_found() {
    assert_eq!(broken("a.md", "one\ntwo \nthree\t\n"), [2, 3]);
    assert_eq!(broken("a.md", "one\r\ntwo\n"), [1]);
}

#[test]
fn unfinished_work_is_found() {
    for word in UNFINISHED {
        assert_eq!(broken("a.rs", &format!("// fine\n// {word}\n")), [2], "{word}");
        assert_eq!(broken("a.md", &format!("fine\n{word}\n")), [2], "{word}");
    }
    for word in UNFINISHED_RUST {
        assert_eq!(broken("a.rs", &format!("fn f() {{}}\n// {word})\n")), [2], "{word}");
        assert_eq!(broken("a.md", &format!("`{word})` is denied\n")), [0_usize; 0], "{word}");
    }
}

#[test]
fn a_machine_s_path_is_found_and_a_url_is_not() {
    for word in MACHINE_PATHS {
        assert_eq!(broken("a.md", &format!("see {word}x\n")), [1], "{word}");
        assert_eq!(broken("a.md", &format!("{word}x\n")), [1], "{word}");
        assert_eq!(broken("a.md", &format!("https://host.test{word}x\n")), [0_usize; 0], "{word}");
    }
}

#[test]
fn a_registry_s_host_is_found_but_not_in_the_lock_file() {
    for word in REGISTRIES {
        assert_eq!(broken("a.md", &format!("from {word}\n")), [1], "{word}");
        assert_eq!(broken("Cargo.lock", &format!("from {word}\n")), [0_usize; 0], "{word}");
    }
}

#[test]
fn a_suppressed_lint_needs_a_reason() {
    for name in ["allow", "expect"] {
        for mark in ["#[", "#!["] {
            assert_eq!(broken("a.rs", &format!("{mark}{name}(dead_code)]\n")), [1]);
            assert_eq!(
                broken("a.rs", &format!("{mark}{name}(dead_code, reason = \"why\")]\n")),
                [0_usize; 0]
            );
        }
    }
    let over_lines = "#[expect(\n    dead_code,\n    reason = \"why\"\n)]\n";
    assert_eq!(broken("a.rs", over_lines), [0_usize; 0]);
    let without = "#[expect(\n    dead_code,\n)]\nfn f() {} // reason = \"too late\"\n";
    assert_eq!(broken("a.rs", without), [1]);
}

#[test]
fn an_ignored_test_needs_a_reason() {
    assert_eq!(broken("a.rs", &format!("    {}\n", concat!("#[", "ignore]"))), [1]);
    assert_eq!(broken("a.rs", "    #[ignore = \"needs a day\"]\n"), [0_usize; 0]);
}

#[test]
fn a_long_source_file_is_found() {
    let line = "// text\n";
    assert_eq!(broken("a.rs", &line.repeat(SOURCE_LINES_MAX)), [0_usize; 0]);
    assert_eq!(broken("a.rs", &line.repeat(SOURCE_LINES_MAX + 1)), [0]);
    assert_eq!(broken("a.md", &line.repeat(SOURCE_LINES_MAX + 1)), [0_usize; 0]);
}

#[test]
fn a_long_function_is_found() {
    let with_lines = |head: &str, lines: usize| {
        format!("impl A {{\n    {head} {{\n{}    }}\n}}\n", "        x();\n".repeat(lines - 2))
    };
    for head in ["fn f()", "pub(crate) async fn f()", "pub const fn f()", "unsafe extern \"C\" fn f()"] {
        assert_eq!(broken("a.rs", &with_lines(head, FUNCTION_LINES_MAX)), [0_usize; 0], "{head}");
        assert_eq!(broken("a.rs", &with_lines(head, FUNCTION_LINES_MAX + 1)), [2], "{head}");
    }
    // The signature has lines of its own, and counts.
    let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
    assert_eq!(broken("a.rs", &format!("fn f(\n    a: u8,\n) -> u8 {{\n{body}}}\n")), [1]);
}

#[test]
fn a_table_of_vectors_may_be_longer_but_not_without_end() {
    let table = |lines: usize| format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
    let file = format!("{TABLES}a.rs");
    assert_eq!(broken(&file, &table(TABLE_LINES_MAX)), [0_usize; 0]);
    assert_eq!(broken(&file, &table(TABLE_LINES_MAX + 1)), [1]);
}

#[test]
fn a_declaration_and_a_one_line_function_are_not_long() {
    let rest = "    x();\n".repeat(FUNCTION_LINES_MAX);
    assert_eq!(broken("a.rs", &format!("    fn f();\n{rest}    }}\n")), [0_usize; 0]);
    assert_eq!(broken("a.rs", &format!("fn f() {{}}\n{rest}}}\n")), [0_usize; 0]);
}

#[test]
fn a_decision_needs_a_date() {
    assert_eq!(broken("docs/decisions/0009-x.md", "# 9\n\nDate: 2026-11-22\n"), [0_usize; 0]);
    assert_eq!(broken("docs/decisions/0009-x.md", "# 9\n\nDate: 2026/11/22\n"), [0]);
    assert_eq!(broken("docs/other.md", "# 9\n"), [0_usize; 0]);
}

#[test]
fn a_large_file_is_found_whatever_it_holds() {
    let violations = check_file("a.bin", &vec![0xff; 1024 * 1024 + 1]);
    assert_eq!(violations.len(), 1);
    assert!(check_file("a.bin", &vec![0xff; 1024 * 1024]).is_empty());
}

#[test]
fn a_dependency_needs_a_reason() {
    let manifest = "[workspace.dependencies]\nours = { path = \"x\" }\n# a comment = x\nanyhow = \"1\"\n\
                    serde = { version = \"1\" }\n[profile.dev]\nopt-level = 1\n";
    let violations = unexplained_dependencies(manifest, "- `anyhow`: errors of tools\n");
    let lines: Vec<_> = violations.iter().map(|violation| violation.line).collect();
    assert_eq!(lines, [Some(5)]);
}
