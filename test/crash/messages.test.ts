import { testPoints } from './matrix.ts';
import { beforeAndAfter, committed, statement } from './points.ts';

const SENT = 'throughline-outbox-sent';
const FINISH = 'throughline-inbox-finish';
const CLAIM = 'throughline-inbox-claim';

/** What passes between processes: the customer's requests, the outbox and its relay, the worker's and the service's inboxes. */
testPoints([
  ...beforeAndAfter([
    { name: 'the order is stored, with its saga', place: committed('INSERT INTO shop.customer_order') },
    {
      name: 'the return from the bank is stored',
      course: 'approved',
      place: statement('INSERT INTO throughline.saga_signal', { part: '3ds' }),
    },
    // Before: between send and mark.
    { name: 'the sent set-up job is marked', place: statement(SENT) },
    { name: 'the mark of the sent set-up job is committed', place: committed(SENT) },
    { name: 'the sent result of the set-up is marked', place: statement(SENT, { nth: 2 }) },
    { name: 'the sent mail job is marked', place: statement(SENT, { nth: 3 }) },
    {
      name: 'the sent tear-down job is marked',
      course: 'compensated',
      place: statement(SENT, { nth: 3 }),
    },
  ]),
  ...beforeAndAfter([
    { name: 'the set-up job is claimed', role: 'worker', place: statement(CLAIM, { part: 'set-up' }) },
    // Before: between effect and inbox commit.
    {
      name: 'the set-up job and its result are committed',
      role: 'worker',
      place: committed(FINISH, 'INSERT INTO throughline.outbox'),
    },
    {
      name: 'the mail job is recorded as done',
      role: 'worker',
      place: statement(FINISH, { part: '/notification' }),
    },
    {
      name: 'the death of the set-up job is committed',
      role: 'worker',
      course: 'compensated',
      place: committed(FINISH, '/failed'),
    },
    {
      name: 'the tear-down job and its result are committed',
      role: 'worker',
      course: 'compensated',
      place: committed(FINISH, '/undo'),
    },
  ]),
  ...beforeAndAfter([
    { name: 'the result of the set-up is claimed', place: statement(CLAIM) },
    { name: 'the result of the set-up is committed', place: committed(FINISH, 'throughline.saga_signal') },
  ]),
]);
