//! What is printed at the end: the table, Countersign beside its peers, and how its shared data fared.

use anyhow::Result;

use crate::kind::Kind;
use crate::row::{Measured, Row};

/// Prints the table.
///
/// # Errors
/// A process of a row has ended.
pub(crate) fn table(rows: &[Row]) -> Result<()> {
    println!(
        "  {:<42} {:>17} {:>8} {:>8} {:>16} {:>9}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "RSS MiB"
    );
    for row in rows {
        let of = |value: fn(&Measured) -> f64| median(row.rounds.iter().map(value));
        println!(
            "  {:<42} {:>8.0} {:>8} {:>8.2} {:>8.2} {:>8.1} {:>7} {:>9.1}",
            row.kind.title(),
            of(|round| round.per_second),
            format!("({:.0})", best(row, |round| round.per_second, f64::max)),
            of(|round| round.p50_ms),
            of(|round| round.p99_ms),
            of(|round| round.processor_us),
            format!("({:.1})", best(row, |round| round.processor_us, f64::min)),
            row.resident_kib()? as f64 / 1024.0,
        );
    }
    Ok(())
}

/// Prints Countersign beside each peer that was measured too, and the goals.
pub(crate) fn peers(rows: &[Row]) {
    let find = |kind| rows.iter().find(|row| row.kind == kind);
    let Some(ours) = find(Kind::Countersign) else { return };
    if rows.len() == 1 {
        return;
    }
    println!("\n  Countersign / peer, median of the rounds' ratios (best against best):\n");
    println!("  {:<42} {:>17} {:>17}", "", "requests/s", "CPU per request");
    for (kind, goal) in [
        (Kind::Hold, "goal: at least 0.70 of the requests/s"),
        (Kind::ExtAuthzHttp, "goal: at least 1.0 of the requests/s"),
        (Kind::ExtAuthzGrpc, "goal: at least 1.0 of the requests/s"),
        (Kind::ExtAuthzNative, ""),
        (Kind::NativeProxy, ""),
    ] {
        let Some(peer) = find(kind) else { continue };
        let line = format!(
            "  {:<42} {:>8.3} {:>8} {:>8.3} {:>8}  {goal}",
            kind.title(),
            ratio(ours, peer, |round| round.per_second),
            format!("({:.3})", best_ratio(ours, peer, |round| round.per_second, f64::max)),
            ratio(ours, peer, |round| round.processor_us),
            format!("({:.3})", best_ratio(ours, peer, |round| round.processor_us, f64::min)),
        );
        println!("{}", line.trim_end());
    }
    let natives = [Kind::ExtAuthzNative, Kind::NativeProxy].map(find).into_iter().flatten();
    let better = natives.min_by(|one, other| processor(one).total_cmp(&processor(other)));
    if let Some(better) = better {
        println!(
            "\n  The better of the two natives by CPU per request: {}; it takes {:.2} times Countersign's (goal: at least 1.3)",
            better.kind.title(),
            ratio(better, ours, |round| round.processor_us),
        );
    }
}

fn processor(row: &Row) -> f64 {
    median(row.rounds.iter().map(|round| round.processor_us))
}

/// Pairs of one round share what else the machine did just then.
fn ratio(row: &Row, peer: &Row, value: fn(&Measured) -> f64) -> f64 {
    median(row.rounds.iter().zip(&peer.rounds).map(|(row, peer)| value(row) / value(peer)))
}

fn best_ratio(row: &Row, peer: &Row, value: fn(&Measured) -> f64, better: fn(f64, f64) -> f64) -> f64 {
    best(row, value, better) / best(peer, value, better)
}

fn best(row: &Row, value: fn(&Measured) -> f64, better: fn(f64, f64) -> f64) -> f64 {
    row.rounds.iter().map(value).reduce(better).unwrap_or_default()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// Prints how Countersign's shared data fared, by the filter's own counters; round 0 is in them.
///
/// # Errors
/// Envoy's admin interface does not answer.
pub(crate) fn shared_data(rows: &[Row]) -> Result<()> {
    let Some(ours) = rows.iter().find(|row| row.kind == Kind::Countersign) else { return Ok(()) };
    let counters = ours.envoy.counters()?;
    let sum = |is_meant: &dyn Fn(&str) -> bool| -> u64 {
        counters.iter().filter(|(name, _)| is_meant(name)).map(|(_, count)| count).sum()
    };
    let answers = sum(&|name| name.starts_with("answers."));
    let accepted = sum(&|name| name.starts_with("answers.") && name.ends_with(".code.accepted"));
    let retries = sum(&|name| name.starts_with("swap_retries."));
    let uncounted = sum(&|name| name.starts_with("uncounted."));
    println!(
        "\n  Shared data, one partner: {answers} answers, {} of them refusals; {retries} lost swaps, {:.2} per 1,000 requests; \
         {uncounted} events admitted beside the quota",
        answers - accepted,
        retries as f64 * 1000.0 / answers.max(1) as f64,
    );
    Ok(())
}
