//! From the inbox to the ledger, through the real components: what is posted and when, what administrators see and do, and that
//! nothing is lost and nothing is posted twice, whatever fails.
#![cfg(test)]

mod admin;
mod dead_letters;
mod disk;
mod disputes;
mod duplicates;
mod erasure;
mod faults;
mod killed;
mod matching;
mod opening;
mod privacy;
mod redecide;
mod retention;
mod support;
mod waits;
