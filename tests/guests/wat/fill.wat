;; Spends its time in bulk operations, each of which is one instruction.
(func $run (result i32 i32)
  (drop (memory.grow (i32.const 512)))
  (loop $again
    (memory.fill (i32.const 65536) (i32.const 7) (i32.const 33554432))
    (br $again))
  unreachable)
