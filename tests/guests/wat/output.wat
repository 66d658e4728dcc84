;; Returns a string of JSON with 2 MiB.
(func $run (result i32 i32)
  (drop (memory.grow (i32.const 64)))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 2097152))
  (i32.store8 (i32.const 65536) (i32.const 34))
  (i32.store8 (i32.const 2162687) (i32.const 34))
  (i32.const 65536) (i32.const 2097152))
