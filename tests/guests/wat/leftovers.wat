;; Counts the bytes that are not zero where it never wrote, up to 9, then fills its memory and its table with ones. An
;; input of more than two bytes makes it trap after that.
(global $count (mut i32) (i32.const 48))
(global $mark (mut i64) (i64.const 0))
(table $table 64 funcref)
(elem declare func $run)

(func $look (param $from i32) (param $to i32)
  (loop $again
    (if (i64.ne (i64.load (local.get $from)) (i64.const 0))
      (then (global.set $count (i32.add (global.get $count) (i32.const 1)))))
    (local.set $from (i32.add (local.get $from) (i32.const 8)))
    (br_if $again (i32.lt_u (local.get $from) (local.get $to)))))

(func $run (result i32 i32)
  (local $n i32)
  (drop (memory.grow (i32.const 79)))
  (call $look (i32.const 16384) (i32.const 32768))
  (call $look (i32.const 65536) (i32.const 5242880))
  (if (i64.ne (global.get $mark) (i64.const 0))
    (then (global.set $count (i32.add (global.get $count) (i32.const 1)))))
  (loop $again
    (if (i32.eqz (ref.is_null (table.get $table (local.get $n))))
      (then (global.set $count (i32.add (global.get $count) (i32.const 1)))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $n) (i32.const 64))))
  (if (i32.gt_u (global.get $count) (i32.const 57)) (then (global.set $count (i32.const 57))))
  (memory.fill (i32.const 16384) (i32.const 255) (i32.const 16384))
  (memory.fill (i32.const 65536) (i32.const 255) (i32.const 5177344))
  (global.set $mark (i64.const -1))
  (table.fill $table (i32.const 0) (ref.func $run) (i32.const 64))
  (if (i32.gt_u (global.get $input_len) (i32.const 2)) (then unreachable))
  (i32.store8 (i32.const 2048) (global.get $count))
  (i32.const 2048) (i32.const 1))
