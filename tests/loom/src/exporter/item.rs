//! Stands for `src/exporter/item.rs`: an item is its class and its size.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    CheckIns,
    Errors,
    Transactions,
    Logs,
    Metrics,
}

#[derive(Debug)]
pub struct Item(pub Class, pub usize);

impl Item {
    pub fn class(&self) -> Class {
        self.0
    }

    pub fn size(&self) -> usize {
        self.1
    }

    pub fn attaches(&self) -> bool {
        false
    }
}
