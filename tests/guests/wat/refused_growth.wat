;; Asks a memory for more than its own maximum, gets nothing, and answers 1.
(memory $small 1 2)
(data (memory $memory) (i32.const 2048) "1")
(func $run (result i32 i32)
  (local $n i32)
  (loop $again
    (if (i32.ne (memory.grow $small (i32.const 100)) (i32.const -1)) (then unreachable))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $n) (i32.const 100))))
  (i32.const 2048) (i32.const 1))
