;; Takes one page after the other until there are no more, which is no end for it.
(func $run (result i32 i32)
  (loop $again
    (drop (memory.grow (i32.const 1)))
    (br $again))
  unreachable)
