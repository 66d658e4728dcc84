;; What every text guest needs to be a module, around the behaviour of one of the other files: fields of a core module
;; with a function `$run` that returns the address and the length of its output. tests/it/wat.rs fills in the braces.
(component
  (core module $guest
    (memory $memory (export "memory") 1)
    (global $heap (mut i32) (i32.const 49152))
    ;; The input of the call, for behaviours that look at it.
    (global $input (mut i32) (i32.const 0))
    (global $input_len (mut i32) (i32.const 0))
    (data (i32.const 4096) "{description}")

    ;; Nothing is ever given back: an instance lives for one call.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $heap))
      (global.set $heap (i32.add (global.get $heap) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
      (local.get $at))

    ;; Returns the address of a string's address and length.
    (func (export "describe") (result i32)
      {before_describe}
      (i32.store (i32.const 1024) (i32.const 4096))
      (i32.store (i32.const 1028) (i32.const {description_len}))
      (i32.const 1024))

    ;; Returns the address of a result: its first byte says that it is no error.
    (func (export "call") (param $entry i32) (param $entry_len i32) (param i32 i32) (result i32)
      (local $output i32) (local $output_len i32)
      (global.set $input (local.get 2))
      (global.set $input_len (local.get 3))
      (call $run)
      (local.set $output_len)
      (local.set $output)
      (i32.store (i32.const 1024) (i32.const 0))
      (i32.store (i32.const 1028) (local.get $output))
      (i32.store (i32.const 1032) (local.get $output_len))
      (i32.const 1024))

{behaviour}
  )
  (core instance $guest (instantiate $guest))
  (type $task-error (record
    (field "kind" string) (field "message" string) (field "retryable" bool) (field "details" (option string))))
  (func $describe (result string)
    (canon lift (core func $guest "describe")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (func $call (param "entry" string) (param "input" string) (result (result string (error $task-error)))
    (canon lift (core func $guest "call")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (instance $module (export "task-error" (type $task-error)) (export "describe" (func $describe)) (export "call" (func $call)))
  (export "{contract}" (instance $module)))
