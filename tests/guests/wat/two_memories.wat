;; Takes 20 MiB in each of two memories, and answers 1.
(memory $second 0)
(data (memory $memory) (i32.const 2048) "1")
(func $run (result i32 i32)
  (drop (memory.grow $memory (i32.const 320)))
  (drop (memory.grow $second (i32.const 320)))
  (i32.const 2048) (i32.const 1))
