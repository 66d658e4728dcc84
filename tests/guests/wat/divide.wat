;; Divides by zero.
(func $run (result i32 i32)
  (i32.div_u (i32.const 1) (i32.sub (global.get $input_len) (global.get $input_len)))
  (i32.const 1))
