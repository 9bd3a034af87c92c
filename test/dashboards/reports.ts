/** Where the jobs of aside-main.ts travel. */
export const REPORTS = {
  topic: 'reports',
  subscription: 'reports-worker',
  deadLetterTopic: 'reports-dead-letters',
};
