//! Every decision Countersign makes.
#![no_std]
