//! The real binary, called as a person calls it.
#![cfg(test)]

mod admin;
mod application;
mod click;
mod config;
mod interop;
mod keys;
mod kill;
mod sign;
mod support;
mod up;
mod verify;
