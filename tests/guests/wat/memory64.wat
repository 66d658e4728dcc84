;; Asks for more than there is, again and again, in a memory with 64-bit addresses: sums of such numbers overflow.
;; Then it takes 128 MiB in its ordinary memory, and answers 1.
(memory $wide i64 0)
(data (memory $memory) (i32.const 2048) "1")
(func $run (result i32 i32)
  (drop (memory.grow $wide (i64.const 0x0000_ffff_ffff_ffff)))
  (drop (memory.grow $memory (i32.const 2048)))
  (i32.const 2048) (i32.const 1))
