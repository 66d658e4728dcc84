;; A whole component, for it imports: `describe` sleeps for an hour.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $of-poll))
    (export "pollable" (type $own (eq $of-poll)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $own))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $guest
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "describe") (result i32)
      (call $block (call $subscribe (i64.const 3_600_000_000_000)))
      unreachable)
    (func (export "call") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $host (export "subscribe" (func $subscribe)) (export "block" (func $block)))
  (core instance $guest (instantiate $guest (with "host" (instance $host))))
  (type $task-error (record
    (field "kind" string) (field "message" string) (field "retryable" bool) (field "details" (option string))))
  (func $describe (result string)
    (canon lift (core func $guest "describe")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (func $call (param "entry" string) (param "input" string) (result (result string (error $task-error)))
    (canon lift (core func $guest "call")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (instance $module (export "task-error" (type $task-error)) (export "describe" (func $describe)) (export "call" (func $call)))
  (export "tarefa:guest/module@0.1.0" (instance $module)))
