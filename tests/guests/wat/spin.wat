;; Computes without end.
(func $run (result i32 i32)
  (loop $again (br $again))
  unreachable)
