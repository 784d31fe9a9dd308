//! Threads that make numbered items in advance and deliver them in order of number.
//!
//! Workers take the next number under a lock, make the item without the lock, and store it for the consumer. They are
//! at most `depth` items ahead, so memory is bounded. A worker's panic is raised again in the consumer, which would
//! otherwise wait forever.
//!
//! Waking a thread costs more than making a small item. So only waiting threads are woken, and workers without room
//! sleep until half of the room is free.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};

/// Items `0, 1, 2, …` made by worker threads.
#[derive(Debug)]
pub(super) struct Prefetcher<T> {
    ring: Arc<Ring<T>>,
    workers: Vec<JoinHandle<()>>,
    process: u32,
}

#[derive(Debug)]
struct Ring<T> {
    state: Mutex<State<T>>,
    /// Signals the consumer that an item is ready.
    ready: Condvar,
    /// Signals the workers that there is room, or that they must stop.
    room: Condvar,
    depth: u64,
}

#[derive(Debug)]
struct State<T> {
    next_to_make: u64,
    next_to_take: u64,
    /// The items made so far, from `next_to_take`.
    made: VecDeque<Option<thread::Result<Result<T>>>>,
    workers_waiting: usize,
    consumer_waits: bool,
    stop: bool,
}

impl<T: Send + 'static> Prefetcher<T> {
    /// Start `n_threads` workers that call `make(number)` at most `depth` items ahead.
    pub(in crate::shard) fn start(
        n_threads: usize,
        depth: usize,
        make: impl FnMut(u64) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Self> {
        let state = State {
            next_to_make: 0,
            next_to_take: 0,
            made: VecDeque::with_capacity(depth),
            workers_waiting: 0,
            consumer_waits: false,
            stop: false,
        };
        let (ready, room) = (Condvar::new(), Condvar::new());
        let ring = Arc::new(Ring { state: Mutex::new(state), ready, room, depth: depth.max(1) as u64 });
        let mut prefetcher = Self { ring, workers: Vec::new(), process: std::process::id() };
        for _ in 0..n_threads.max(1) {
            let (ring, mut make) = (Arc::clone(&prefetcher.ring), make.clone());
            let worker = thread::Builder::new().name("bytemill-loader".to_owned()).spawn(move || ring.work(&mut make));
            prefetcher.workers.push(worker.map_err(Error::io("a thread of the loader"))?);
        }
        Ok(prefetcher)
    }

    /// Wait for the next item and return it.
    pub(in crate::shard) fn take(&mut self) -> Result<T> {
        let mut state = self.ring.lock();
        loop {
            if let Some(item) = state.pop() {
                let wake = state.workers_waiting > 0 && state.made.len() as u64 <= self.ring.depth / 2;
                drop(state);
                if wake {
                    self.ring.room.notify_all();
                }
                return item.unwrap_or_else(|panic| resume_unwind(panic));
            }
            state.consumer_waits = true;
            state = self.ring.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Prefetcher<T> {
    /// Return whether the workers are in this process: a forked child does not have them.
    pub(super) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl<T> Drop for Prefetcher<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            // In a forked child, the workers do not exist and the lock may never be released: touch neither.
            self.workers.drain(..).for_each(std::mem::forget);
            std::mem::forget(Arc::clone(&self.ring));
            return;
        }
        self.ring.lock().stop = true;
        self.ring.room.notify_all();
        for worker in self.workers.drain(..) {
            // Its panics were already passed to the consumer.
            let _ = worker.join();
        }
    }
}

impl<T> Ring<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, make: &mut impl FnMut(u64) -> Result<T>) {
        while let Some(number) = self.claim() {
            let item = catch_unwind(AssertUnwindSafe(|| make(number)));
            let wake = self.lock().put(number, item);
            if wake {
                self.ready.notify_one();
            }
        }
    }

    /// Wait for room and return the next number to make; `None` when it is time to stop.
    fn claim(&self) -> Option<u64> {
        let mut state = self.lock();
        while !state.stop && state.next_to_make >= state.next_to_take + self.depth {
            state.workers_waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.workers_waiting -= 1;
        }
        let number = state.next_to_make;
        state.next_to_make += 1;
        (!state.stop).then_some(number)
    }
}

impl<T> State<T> {
    /// Store an item; return whether the consumer is waiting for this item.
    fn put(&mut self, number: u64, item: thread::Result<Result<T>>) -> bool {
        let place = (number - self.next_to_take) as usize;
        if self.made.len() <= place {
            self.made.resize_with(place + 1, || None);
        }
        self.made[place] = Some(item);
        place == 0 && std::mem::take(&mut self.consumer_waits)
    }

    /// Return the next item, if it is ready.
    fn pop(&mut self) -> Option<thread::Result<Result<T>>> {
        let item = self.made.front_mut()?.take()?;
        self.made.pop_front();
        self.next_to_take += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn items_come_in_order_and_no_more_than_depth_are_made_ahead() {
        let (depth, n_threads) = (3, 4);
        let mut prefetcher = Prefetcher::start(n_threads, depth, Ok).unwrap();
        for number in 0..100 {
            assert_eq!(prefetcher.take().unwrap(), number);
            assert!(prefetcher.ring.lock().next_to_make <= number + 1 + depth as u64);
        }
    }

    #[test]
    #[should_panic(expected = "no item 2")]
    fn a_worker_that_panics_does_not_leave_the_consumer_waiting() {
        let make = |number| if number == 2 { panic!("no item {number}") } else { Ok(number) };
        let mut prefetcher = Prefetcher::start(1, 2, make).unwrap();
        (0..3).for_each(|_| drop(prefetcher.take()));
    }
}
