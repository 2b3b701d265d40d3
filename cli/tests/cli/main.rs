//! The real binary, called as a person calls it.
#![cfg(test)]

mod click;
mod config;
mod interop;
mod keys;
mod sign;
mod support;
mod up;
mod verify;
