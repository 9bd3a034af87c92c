import { testPoints } from './matrix.ts';
import { beforeAndAfter, committed, effect, recorded } from './points.ts';

/** What the saga's journal records, and with it the database's own steps, whose record is their effect's commit. */
testPoints([
  ...beforeAndAfter([
    { name: 'the record of verify-account', place: recorded('completed', 'verify-account') },
    { name: 'the record of redeem-card', place: recorded('completed', 'redeem-card') },
    { name: 'the record of create-contract', place: recorded('completed', 'create-contract') },
    {
      name: 'the commit of create-contract',
      place: committed('"kind":"completed","step":"create-contract"'),
    },
    { name: 'the record of settle-payment', place: recorded('completed', 'settle-payment') },
    { name: 'the record of register-credit-card', place: recorded('completed', 'register-credit-card') },
    { name: 'the record of acquire-domain', place: recorded('completed', 'acquire-domain') },
    { name: 'set-up-workspace is dispatched', place: recorded('dispatched', 'set-up-workspace') },
    { name: 'the record of set-up-workspace', place: recorded('completed', 'set-up-workspace') },
    { name: 'the record of confirm-order', place: recorded('completed', 'confirm-order') },
    { name: 'the commit of confirm-order', place: committed('"kind":"completed","step":"confirm-order"') },
  ]),
  ...beforeAndAfter([
    {
      name: 'the wait for 3-D Secure is recorded',
      course: 'approved',
      place: recorded('suspended', 'settle-payment'),
    },
    {
      name: 'the return from 3-D Secure is recorded',
      course: 'approved',
      place: recorded('signalled', 'settle-payment'),
    },
    {
      name: 'the record of the approved payment',
      course: 'approved',
      place: recorded('completed', 'settle-payment'),
    },
  ]),
  ...beforeAndAfter([
    {
      name: 'the failure of set-up-workspace is recorded',
      course: 'compensated',
      place: recorded('failed', 'set-up-workspace'),
    },
    {
      name: 'the tear-down is dispatched',
      course: 'compensated',
      place: recorded('dispatched', 'set-up-workspace', 2),
    },
    {
      name: 'the record of the tear-down',
      course: 'compensated',
      place: recorded('undone', 'set-up-workspace'),
    },
    {
      name: 'the record of the refund',
      course: 'compensated',
      place: recorded('undone', 'settle-payment'),
    },
    {
      name: 'the record of the deleted contract',
      course: 'compensated',
      place: recorded('undone', 'create-contract'),
    },
    {
      name: 'the commit of the deleted contract',
      course: 'compensated',
      place: committed('"kind":"undone","step":"create-contract"'),
    },
    {
      name: 'the record of the reactivated card',
      course: 'compensated',
      place: recorded('undone', 'redeem-card'),
    },
  ]),
  ...beforeAndAfter([
    {
      name: 'the card is redeemed, and of its successor as it records the take-over',
      place: effect('card/redeem'),
      next: { role: 'order-service', when: 'after', place: recorded('interrupted') },
    },
  ]),
]);
