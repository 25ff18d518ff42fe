//! The newest requests, as lines of JSON in memory: for a live tail of them, and to ask what another
//! configuration would have done with them.
//!
//! Lines stand in blocks. Who adds one copies it into the newest block; who reads takes the full
//! blocks as they are and copies only the newest, so that the lock is never held for long.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// All lines together, at most.
const MOST_BYTES: usize = 16 * 1024 * 1024;
const BLOCK: usize = 64 * 1024;
/// The lines of a block, so that few lines more are kept than are asked for.
const BLOCK_LINES: usize = 256;

/// The newest requests of the process.
#[derive(Debug)]
pub struct RecentRequests {
    blocks: Mutex<Blocks>,
    added: Notify,
}

/// Lines, each with its number. Numbers go up by one from request to request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub lines: Vec<(u64, Bytes)>,
    /// To go on with: the number behind the last of them.
    pub next: u64,
    /// How many lines that were asked for are not kept any more.
    pub lost: u64,
}

#[derive(Debug)]
struct Blocks {
    /// The oldest first; only the last one grows.
    all: VecDeque<Arc<Block>>,
    /// How many lines are kept.
    most: usize,
    /// The number of the next line.
    next: u64,
    /// The room that the blocks take.
    bytes: usize,
    /// Whether somebody waits for the next line.
    awaited: bool,
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// The number of its first line.
    first: u64,
    /// Where each line ends.
    ends: Vec<usize>,
    text: Vec<u8>,
}

impl Block {
    fn has_room(&self, line: usize) -> bool {
        self.ends.len() < BLOCK_LINES && (self.text.len() + line <= BLOCK || self.ends.is_empty())
    }

    fn end(&self) -> u64 {
        self.first + count(self.ends.len())
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start..self.ends.get(index).copied().unwrap_or(start)
    }
}

/// The text of a block that is read elsewhere.
struct Shared(Arc<Block>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.text
    }
}

impl RecentRequests {
    pub fn new(most: usize) -> Self {
        let blocks = Blocks { all: VecDeque::new(), most, next: 0, bytes: 0, awaited: false };
        Self { blocks: Mutex::new(blocks), added: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps so many from now on.
    pub fn resize(&self, most: usize) {
        let mut blocks = self.lock();
        blocks.most = most;
        blocks.drop_old();
    }

    /// Adds the line of a request, without its newline.
    pub fn push(&self, line: &[u8]) {
        let mut blocks = self.lock();
        blocks.push(line);
        if std::mem::take(&mut blocks.awaited) {
            drop(blocks);
            self.added.notify_waiters();
        }
    }

    /// The newest lines, the oldest of them first.
    pub fn last(&self, count: usize) -> Tail {
        let (next, most) = {
            let blocks = self.lock();
            (blocks.next, blocks.most)
        };
        let wanted = u64::try_from(count.min(most)).unwrap_or(u64::MAX);
        Tail { lost: 0, ..self.after(next.saturating_sub(wanted), usize::MAX) }
    }

    /// The lines from this number on, at most `limit` of them.
    pub fn after(&self, seq: u64, limit: usize) -> Tail {
        let (blocks, next) = self.lock().from(seq);
        let oldest = blocks.first().map_or(next, |block| block.first);
        let begin = seq.clamp(oldest, next);
        let mut tail = Tail { lines: Vec::new(), next: begin, lost: begin.saturating_sub(seq) };
        for block in blocks {
            let text = Bytes::from_owner(Shared(Arc::clone(&block)));
            for index in 0..block.ends.len() {
                let number = block.first + count(index);
                if number >= begin && tail.lines.len() < limit {
                    tail.lines.push((number, text.slice(block.range(index))));
                    tail.next = number + 1;
                }
            }
        }
        tail
    }

    /// Waits until there is a line of this number, or a newer one.
    pub async fn wait_for(&self, seq: u64) {
        loop {
            let added = self.added.notified();
            {
                let mut blocks = self.lock();
                if blocks.next > seq {
                    return;
                }
                blocks.awaited = true;
            }
            added.await;
        }
    }
}

impl Blocks {
    fn push(&mut self, line: &[u8]) {
        let has_room = self.all.back().is_some_and(|block| block.has_room(line.len()));
        if !has_room {
            self.begin_block(line.len());
        }
        self.next += 1;
        // Readers have copies of the newest block, so that nothing is copied here.
        if let Some(block) = self.all.back_mut().map(Arc::make_mut) {
            block.text.extend_from_slice(line);
            block.ends.push(block.text.len());
        }
    }

    /// In the place of the oldest block, where that one is of no more use.
    fn begin_block(&mut self, line: usize) {
        let dropped = self.drop_old().and_then(|block| Arc::try_unwrap(block).ok());
        let mut block = dropped.unwrap_or_default();
        block.first = self.next;
        block.ends.clear();
        block.text.clear();
        block.text.shrink_to(BLOCK);
        block.text.reserve(BLOCK.max(line));
        self.bytes += BLOCK.max(line);
        self.all.push_back(Arc::new(block));
    }

    /// Drops the blocks without which there are lines enough; the last of them is returned.
    fn drop_old(&mut self) -> Option<Arc<Block>> {
        let mut dropped = None;
        while let Some(oldest) = self.all.front() {
            let kept = self.next - oldest.end();
            let is_spare = kept >= count(self.most);
            if !is_spare && self.bytes + BLOCK <= MOST_BYTES {
                break;
            }
            self.bytes -= BLOCK.max(oldest.text.len());
            dropped = self.all.pop_front();
        }
        dropped
    }

    /// The blocks that hold a line of this number or of a newer one, and the number of the next line.
    fn from(&self, seq: u64) -> (Vec<Arc<Block>>, u64) {
        let mut found: Vec<_> = self.all.iter().filter(|block| block.end() > seq).cloned().collect();
        if let Some(newest) = found.last_mut() {
            *newest = Arc::new(Block::clone(newest));
        }
        (found, self.next)
    }
}

fn count(lines: usize) -> u64 {
    u64::try_from(lines).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tail: &Tail) -> Vec<String> {
        tail.lines.iter().map(|(_, line)| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_in_their_order() {
        let recent = RecentRequests::new(300);
        assert_eq!((recent.last(5), recent.after(7, 5)), (Tail::default(), Tail::default()));
        (0..10_000).for_each(|n| recent.push(format!("line {n}").as_bytes()));
        assert_eq!(texts(&recent.last(2)), ["line 9998", "line 9999"]);
        assert_eq!(recent.last(1000).lines.len(), 300);
        let tail = recent.after(9_990, 3);
        assert_eq!((texts(&tail)[0].as_str(), tail.lines.len(), tail.next, tail.lost), ("line 9990", 3, 9_993, 0));
        assert_eq!(recent.after(tail.next, 100).lines.len(), 7);
        assert_eq!(recent.after(10_000, 100), Tail { lines: Vec::new(), next: 10_000, lost: 0 });
        let old = recent.after(0, 1);
        assert!(old.lost >= 9_000 && old.lines[0].0 == old.lost, "{old:?}");
        recent.resize(1);
        assert!(recent.after(0, usize::MAX).lines.len() <= BLOCK_LINES);
    }

    #[test]
    fn memory_has_a_bound_whatever_the_lines_are() {
        for line in [vec![b'x'; 20_000], vec![b'x'; 200_000], vec![b'x'; 40]] {
            let recent = RecentRequests::new(1_000_000);
            (0..60_000_000 / line.len()).for_each(|_| recent.push(&line));
            let blocks = recent.lock();
            let held: usize = blocks.all.iter().map(|block| block.text.capacity() + block.ends.capacity() * 8).sum();
            assert!(held < 2 * MOST_BYTES, "{held}");
            assert_eq!(blocks.bytes, blocks.all.iter().map(|block| block.text.len().max(BLOCK)).sum::<usize>());
        }
    }

    #[tokio::test]
    async fn who_waits_is_told_of_the_next_line() {
        let recent = Arc::new(RecentRequests::new(10));
        recent.push(b"0");
        recent.wait_for(0).await;
        let waiting = tokio::spawn({
            let recent = Arc::clone(&recent);
            async move { recent.wait_for(1).await }
        });
        while !recent.lock().awaited {
            tokio::task::yield_now().await;
        }
        recent.push(b"1");
        waiting.await.unwrap();
        assert_eq!(texts(&recent.after(1, 10)), ["1"]);
    }
}
